"""`ml-assets run`: the whole path for one partition."""

import json
import sys
import time
from typing import Any

import click

from ml_assets.cli.shared.context import partition_named, product_named, run_job, workspace
from ml_assets.cli.shared.progress import Progress


@click.command()
@click.argument("product")
@click.option("--partition", "-p", help="Partition key; the newest delivered one if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(product: str, partition: str | None, as_json: bool) -> None:
    """Run the path of PRODUCT, raw to endpoint and monitoring, by the job that sensors launch too.

    Exit code 1 when a step fails or a blocking check stops the path.
    """
    space = workspace()
    spec = product_named(product, space.settings)
    key = partition_named(space, spec, partition)
    progress = Progress(f"{product} {key}", partition=key, quiet=as_json)
    started = time.monotonic()
    result = run_job(space, spec, "path", tags={"dagster/partition": key}, listener=progress)
    outcome: dict[str, Any] = {"product": product, "partition": key, "run": result.run_id, "success": result.success}
    outcome |= {
        "seconds": round(time.monotonic() - started, 2),
        "stages": progress.stages,
        "failures": progress.failures,
    }
    progress.close()
    if as_json:
        click.echo(json.dumps(outcome, indent=1))
    for failure in progress.failures if not as_json else []:
        click.echo(f"  {failure}", err=True)
    sys.exit(0 if result.success else 1)
