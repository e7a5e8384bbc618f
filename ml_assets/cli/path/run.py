"""`ml-assets run`: the whole path for one partition, or for a range of them in one process."""

import json
import sys
import time
from collections.abc import Collection
from typing import Any

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import checked_product, partition_named, run_job, run_outcome, several_runs, workspace
from ml_assets.cli.shared.progress import Progress
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.stages import LEAVES
from ml_assets.spec.product import Product


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--partition", "-p", help="Partition key; the newest delivered one if not given.")
@click.option("--from", "first", metavar="KEY", help="Run all partitions from this one on, one after another.")
@click.option("--to", "last", metavar="KEY", help="The last one of --from; the newest delivered one if not given.")
@click.option(
    "--pages",
    type=click.Choice(["all", "last"]),
    help="With --from: report and MLflow run of all partitions, or of the last one and the one that serves.  [default: last]",
)
@click.option("--stale", is_flag=True, help="Run the newest partition if it or what it reads is stale; say first what, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON; with --from, one line a partition.")
def command(
    *,
    product: str,
    partition: str | None,
    first: str | None,
    last: str | None,
    pages: str | None,
    stale: bool,
    as_json: bool,
) -> None:
    """Run the path of PRODUCT, raw to endpoint and monitoring, by the job that sensors launch too.

    With --from the partitions of a range are run in this process, in order, with the outcome that single runs would have. Those
    that are current are left out, so the same command goes on where it was stopped. A partition that fails stops no later one.

    Report and MLflow run, which decide nothing, are made only for the last partition of a range and for the one whose release
    serves. The same command with --pages all makes the others, then or later.

    With --stale nothing is done where neither the path of the newest partition nor what it reads is stale, or where its test
    window is retired: then the next partition is judged by what is merged. No older evaluation is made again, so no look at an
    older test window is charged.

    Exit code 1 when a step fails, a blocking check stops the path, or earlier verdicts show that the gates keep no
    minimal standard.
    """
    if sum((stale, partition is not None, first is not None)) > 1:
        raise click.UsageError(
            f"--stale is of the newest partition, --partition of one and --from of a range; "
            f"`ml-assets run {product} --partition KEY` runs one"
        )
    if (last or pages) and not first:
        raise click.UsageError("--to and --pages are of a range; give its beginning with --from")
    from ml_assets.services.judging.gate_standards import require_standards

    space = workspace()
    spec = checked_product(product, space.settings)
    require_standards(space.ledger, spec)
    if first:
        _run_range(space, spec, first, last, left_out=() if pages == "all" else LEAVES, as_json=as_json)
        return
    key = partition_named(space, spec, partition)
    if stale and not _announce_stale(space, spec, key, quiet=as_json):
        if as_json:
            nothing: dict[str, Any] = {"run": None, "success": True, "seconds": 0.0, "stages": {}, "failures": []}
            click.echo(json.dumps({"product": product, "partition": key, **nothing}, indent=1))
        return
    outcome = _run(space, spec, key, quiet=as_json)
    if as_json:
        click.echo(json.dumps(outcome, indent=1))
    sys.exit(0 if outcome["success"] else 1)


def _run_range(
    space: Workspace, product: Product, first: str, last: str | None, *, left_out: Collection[str], as_json: bool
) -> None:
    """Run the partitions of a range; those before the last one without the stages that are `left_out`."""
    from ml_assets.services.automation.backfill import backfill

    planned = backfill(space.lineage, space.landing, product, first, last, left_out=left_out, cache=space.settings.cache)
    if not as_json:
        click.echo(f"{product.name}: {planned.summary}")
    failed: list[str] = []
    with several_runs() as tidy:
        for number, key in enumerate(planned.to_run, 1):
            title = f"{number}/{len(planned.to_run)} {product.name} {key}"
            without = () if key == planned.last else left_out
            outcome = _run(space, product, key, quiet=as_json, title=title, without=without)
            failed += [] if outcome["success"] else [key]
            if as_json:
                click.echo(json.dumps(outcome))
            tidy()
        if left_out and (serving := _serving_untracked(space, product)) in {*planned.to_run, *planned.current}:
            title = f"{product.name} {serving}, which serves, again with its pages:"
            outcome = _run(space, product, serving, quiet=as_json, title=title)
            failed += [] if outcome["success"] else [serving]
            if as_json:
                click.echo(json.dumps(outcome))
    if left_out and set(planned.to_run) - {planned.last}:
        makes = f"`ml-assets run {product.name} --from {first} --to {planned.last} --pages all` makes them"
        click.echo(f"{' and '.join(left_out)} of overtaken partitions are left out; {makes}", err=as_json)
    if failed:
        click.echo(
            f"{len(failed)} of {len(planned.to_run)} failed: {', '.join(failed)}; the same command runs them again", err=True
        )
    sys.exit(1 if failed else 0)


def _serving_untracked(space: Workspace, product: Product) -> str:
    """The partition whose release serves, if MLflow has no run of it; else an empty string."""
    pointer = space.ledger.pointer(product.name, "production")
    if pointer is None or space.ledger.current(product.name, "tracking", pointer.body.as_of):
        return ""
    return str(pointer.body.as_of)


def _run(
    space: Workspace, product: Product, key: str, *, quiet: bool, title: str = "", without: Collection[str] = ()
) -> dict[str, Any]:
    """Run the path of one partition, and print its progress and what failed."""
    progress = Progress(title or f"{product.name} {key}", partition=key, quiet=quiet)
    started = time.monotonic()
    result = run_job(space, product, "path", tags={"dagster/partition": key}, listener=progress, without=without)
    came = run_outcome(space, result.run_id)
    progress.close()
    for failure in progress.failures if not quiet else []:
        click.echo(f"  {failure}", err=True)
    if not quiet:
        click.echo(f"{product.name} {key}: {came.kind}: {came.reason}")
        if came.kind == "data refused" and "`ml-assets accept" not in came.reason:
            click.echo(f"  next: {_delivers_again(product, key)}", err=True)
    return {
        "product": product.name,
        "partition": key,
        "run": result.run_id,
        "success": result.success,
        "seconds": round(time.monotonic() - started, 2),
        "stages": progress.stages,
        "failures": progress.failures,
        "outcome": {"kind": came.kind, "reason": came.reason},
    }


def _delivers_again(product: Product, key: str) -> str:
    tables = [*product.delivery.tables]
    table = tables[0] if len(tables) == 1 else "TABLE"
    deliver = f"`ml-assets deliver {product.name} {table} FILE --partition {key}` delivers it"
    return f"{deliver}, then `ml-assets run {product.name} --partition {key}`"


def _announce_stale(space: Workspace, product: Product, key: str, *, quiet: bool) -> int:
    """Say what a run of the newest partition makes again, what that costs and why; how many snapshots it is."""
    from ml_assets.services.stale_path import stale_path

    stale = stale_path(space.lineage, product, key)
    if not quiet:
        click.echo("\n".join([stale.summary, *(f"  {count:>6}  {cause}" for count, cause in stale.causes)]))
    return len(stale.rebuilt)
