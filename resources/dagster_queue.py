"""Dagster's queue of runs, in which every run of a product bears its tag, so that they go one after the other: backfills too, and
those that a person launches from a selection of assets. A run also bears, signed, who launched it through the proxy."""

from dagster import DagsterRun, QueuedRunCoordinator, SubmitRunContext
from dagster._core.workspace.context import WorkspaceRequestContext

from resources.logins.proxy import login
from resources.logins.run_tags import signed_tags
from resources.settings import settings


class ProductQueue(QueuedRunCoordinator):
    """Named in dagster.yaml; the limits are set there, under `concurrency`."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Tag the run with its product, and with whoever launched it, and queue it. Raises LoginRefused."""
        run = context.dagster_run
        if "product" not in run.tags and (product := _product(run)):
            self._instance.add_run_tags(run.run_id, {"product": product})
        if tags := _launched_by(context):
            self._instance.add_run_tags(run.run_id, tags)
        return super().submit_run(context)


def _product(run: DagsterRun) -> str:
    """The product of what the run materializes or checks; of several, the first by name."""
    keys = {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}
    return min((key.path[0] for key in keys), default="")


def _launched_by(context: SubmitRunContext) -> dict[str, str]:
    """The tags of the person who sent the request; none where a daemon or a command launches the run."""
    request = context.workspace.source if isinstance(context.workspace, WorkspaceRequestContext) else None
    current = settings()
    if request is None or not current.proxy_secret:
        return {}
    client = getattr(request, "client", None)
    address = client.host if client else None
    person = login(context.get_request_header, address, name=current.proxy_header, secret=current.proxy_secret)
    return signed_tags(person, run=context.dagster_run.run_id, secret=current.proxy_secret) if person else {}
