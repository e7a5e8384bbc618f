"""`ml-assets run`: the whole path for one partition."""

import json
import sys
import time
from typing import Any

import click

from ml_assets.cli.shared.context import checked_product, partition_named, run_job, run_outcome, workspace
from ml_assets.cli.shared.progress import Progress
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.spec.product import Product


@click.command()
@click.argument("product")
@click.option("--partition", "-p", help="Partition key; the newest delivered one if not given.")
@click.option("--stale", is_flag=True, help="Run the newest partition if it or what it reads is stale; say first what, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(product: str, partition: str | None, stale: bool, as_json: bool) -> None:
    """Run the path of PRODUCT, raw to endpoint and monitoring, by the job that sensors launch too.

    With --stale nothing is done where neither the path of the newest partition nor what it reads is stale, or where its test
    window is retired: then the next partition is judged by what is merged. No older evaluation is made again, so no look at an
    older test window is charged.

    Exit code 1 when a step fails or a blocking check stops the path.
    """
    if stale and partition:
        raise click.UsageError(
            f"--stale is of the newest partition; `ml-assets run {product} --partition {partition}` runs that one"
        )
    space = workspace()
    spec = checked_product(product, space.settings)
    key = partition_named(space, spec, partition)
    if stale and not _announce_stale(space, spec, key, quiet=as_json):
        if as_json:
            nothing: dict[str, Any] = {"run": None, "success": True, "seconds": 0.0, "stages": {}, "failures": []}
            click.echo(json.dumps({"product": product, "partition": key, **nothing}, indent=1))
        return
    progress = Progress(f"{product} {key}", partition=key, quiet=as_json)
    started = time.monotonic()
    result = run_job(space, spec, "path", tags={"dagster/partition": key}, listener=progress)
    came = run_outcome(space, result.run_id)
    outcome: dict[str, Any] = {"product": product, "partition": key, "run": result.run_id, "success": result.success}
    outcome |= {
        "seconds": round(time.monotonic() - started, 2),
        "stages": progress.stages,
        "failures": progress.failures,
        "outcome": {"kind": came.kind, "reason": came.reason},
    }
    progress.close()
    if as_json:
        click.echo(json.dumps(outcome, indent=1))
    for failure in progress.failures if not as_json else []:
        click.echo(f"  {failure}", err=True)
    if not as_json:
        click.echo(f"{product} {key}: {came.kind}: {came.reason}")
    sys.exit(0 if result.success else 1)


def _announce_stale(space: Workspace, product: Product, key: str, *, quiet: bool) -> int:
    """Say what a run of the newest partition makes again, what that costs and why; how many snapshots it is."""
    from ml_assets.services.stale_path import stale_path

    found = stale_path(space.lineage, product, key)
    if not quiet:
        click.echo("\n".join([found.summary, *(f"  {count:>6}  {cause}" for count, cause in found.causes)]))
    return len(found.made)
