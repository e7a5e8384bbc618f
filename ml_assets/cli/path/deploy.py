"""`ml-assets deploy`: after a merge, wait for the deployment to run the commit, and have it make again what became stale."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resources.settings import settings

if TYPE_CHECKING:
    from resources.git_trees import Repository

FAILED, NO_ANSWER = 1, 3


@click.command()
@click.option("--url", help="The address of the Dagster webserver; ML_ASSETS_DAGSTER_URL if not given.")
@click.option("--commit", metavar="REF", default="HEAD", show_default=True, help="The commit that has to be deployed.")
@click.option("--location", "locations", multiple=True, help="A code location to wait for; every one with products if not given.")
@click.option("--timeout", type=click.FloatRange(min=0), default=3600, show_default=True, help="Seconds to wait, in all.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(url: str | None, commit: str, locations: tuple[str, ...], timeout: float, as_json: bool) -> None:
    """Wait until the code locations of a Dagster deployment run a commit, run what it made stale there, and wait for the outcome.

    The deployment computes what is stale, as `ml-assets run PRODUCT --stale` does: the newest partition of each product.
    Where a run of the same commit goes on or has succeeded, none is launched. ML_ASSETS_DAGSTER_TOKEN is sent as bearer token.

    Exit code 0 when every run succeeded, whatever its verdict; 1 when one failed; 2 without an address or a usable commit;
    3 when the webserver gives no answer or the time is over.
    """
    from ml_assets.services.deployment.deploy import Deploy, DeployOutcome, LimitReached
    from resources.http.dagster_webserver import Webserver, WebserverError

    current = settings()
    address = url or current.dagster_url
    if not address:
        raise click.UsageError("there is no address of a webserver: give --url or set ML_ASSETS_DAGSTER_URL")
    repository, wanted = _wanted(commit)
    error, outcomes = "", list[DeployOutcome]()
    try:
        webserver = Webserver(address, current.dagster_token)
        deploy = Deploy(webserver, wanted, timeout, partial(click.echo, err=True), contains=repository.contains, only=locations)
        for outcome in deploy.run_stale(deploy.await_commit()):
            outcomes.append(outcome)
    except (WebserverError, LimitReached) as problem:
        error = str(problem)
        click.echo(f"error: {error}", err=True)
    if as_json:
        rows = [outcome.as_json for outcome in outcomes]
        click.echo(json.dumps({"commit": wanted, "webserver": address, "products": rows, "error": error}, indent=1))
    is_failed = any(outcome.state == "failed" for outcome in outcomes)
    sys.exit(NO_ANSWER if error else FAILED if is_failed else 0)


def _wanted(commit: str) -> "tuple[Repository, str]":
    """The checkout and the commit in full. Refuses the HEAD of a checkout with changes that are in no commit."""
    from resources.git_trees import GitRefused, Repository

    try:
        repository = Repository.around(Path.cwd())
        wanted = repository.commit(commit)
    except GitRefused:
        raise click.UsageError(f"git knows no commit {commit!r} in {Path.cwd()}; run this in a checkout that has it") from None
    if commit == "HEAD" and repository.is_dirty:
        raise click.UsageError(
            f"{repository.root} is commit {wanted} with uncommitted changes, which no deployment can report: commit them, "
            f"or name what was merged: --commit REF"
        )
    return repository, wanted
