"""`ml-assets check`: the asset checks alone, with an exit code (Dagster has no such command)."""

import json
import sys
from typing import Any

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import checked_product, partition_named, run_job, workspace
from ml_assets.cli.shared.counter import counter


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--partition", "-p", help="Partition key; the newest one if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(product: str, partition: str | None, as_json: bool) -> None:
    """Run every asset check of PRODUCT on one partition's current snapshots, again, without materializing anything.

    Exit code 1 when a check of severity ERROR fails, blocking or not, or when one cannot be run. The result of a stale evaluation
    is a warning instead of a pass: the next run makes another one.
    """
    from checks.evidence import RECHECK
    from ml_assets.services.stale_evaluations import stale_evaluations

    space = workspace()
    spec = checked_product(product, space.settings)
    key = partition_named(space, spec, partition)
    if space.ledger.current(product, "raw", key) is None:
        raise click.ClickException(f"{product} {key}: nothing to check yet; `ml-assets run {product} --partition {key}` makes it")
    results: list[dict[str, Any]] = []
    failures: list[str] = []

    def listen(entry: Any) -> None:
        event = entry.dagster_event
        if event is not None and event.event_type_value in ("STEP_START", "ASSET_CHECK_EVALUATION"):
            tell(f"{len(results)} checks of {product} {key}: {event.step_key or ''}")
        if event is not None and event.event_type_value == "ASSET_CHECK_EVALUATION":
            results.append(_row(event.asset_check_evaluation_data))
        elif event is not None and event.event_type_value == "STEP_FAILURE":
            error = event.step_failure_data.error
            failures.append(f"{event.step_key}: {(error.cause or error).message.strip()}")

    with counter(as_json=as_json) as tell:
        run_job(space, spec, "checks", tags={"dagster/partition": key, RECHECK: "true"}, listener=listen)
    stale = stale_evaluations(space.lineage, spec).get(key)
    failed = [r for r in results if not r["passed"] and r["severity"] == "ERROR"]
    if as_json:
        outcome = {"product": product, "partition": key, "checks": results, "errors": failures}
        why = stale.message if stale else None
        click.echo(json.dumps({**outcome, "passed": not failed and not failures, "stale": why}, indent=1))
    else:
        if stale:
            click.secho(f"{product} {key}: the evaluation was {stale.message}", fg="yellow")
        _print(results, failures)
        click.echo(f"{product} {key}: {len(results)} checks, {len(failed)} failed, {len(failures)} could not be run")
    sys.exit(1 if failed or failures or not results else 0)


def _row(evaluation: Any) -> dict[str, Any]:
    return {
        "asset": "/".join(evaluation.asset_key.path),
        "check": evaluation.check_name,
        "passed": evaluation.passed,
        "severity": evaluation.severity.value,
        "description": evaluation.description or "",
    }


def _print(results: list[dict[str, Any]], failures: list[str]) -> None:
    for row in sorted(results, key=lambda r: (r["passed"], r["asset"])):
        mark = "ok  " if row["passed"] else ("FAIL" if row["severity"] == "ERROR" else "warn")
        colour = {"ok  ": "green", "FAIL": "red", "warn": "yellow"}[mark]
        click.secho(f"{mark} ", fg=colour, nl=False)
        click.echo(f"{row['asset']}: {row['check']}  {row['description']}")
    for failure in failures:
        click.secho("FAIL ", fg="red", nl=False)
        click.echo(failure)
