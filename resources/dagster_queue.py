"""Dagster's queue of runs, in which every run of a product bears its tag, so that they go one after the other: backfills too, and
those that a person launches from a selection of assets."""

from dagster import DagsterRun, QueuedRunCoordinator, SubmitRunContext


class ProductQueue(QueuedRunCoordinator):
    """Named in dagster.yaml; the limits are set there, under `concurrency`."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Tag the run with its product, and queue it."""
        run = context.dagster_run
        if "product" not in run.tags and (product := _product(run)):
            self._instance.add_run_tags(run.run_id, {"product": product})
        return super().submit_run(context)


def _product(run: DagsterRun) -> str:
    """The product of what the run materializes or checks; of several, the first by name."""
    keys = {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}
    return min((key.path[0] for key in keys), default="")
