"""`ml-assets recall`: declare a partition or release bad; show what it touched, and act on it."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, run_job, workspace
from ml_assets.cli.shared.person import decided_by
from ml_assets.cli.shared.progress import Progress
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.release.identity import By, Identity
from ml_assets.spec.product import Product

if TYPE_CHECKING:
    from ml_assets.services.recall_plan import Consequences, PlannedRollback


@click.command()
@click.argument("product", type=PRODUCT)
@click.argument("what", metavar="PARTITION|RELEASE")
@click.option("--reason", required=True, help="The reason; it is recorded, and shown wherever the recalled thing is named.")
@decided_by()
@click.option("--apply", "is_applied", is_flag=True, help="Record the recall, roll back and run again; else only show.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(product: str, what: str, *, reason: str, by: By, is_applied: bool, as_json: bool) -> None:
    """Declare a partition of PRODUCT, as it was delivered, or a release bad.

    Nothing that was made from it is used, promoted or rolled back to again, until another delivery replaces it. Without
    --apply this shows what was made from it and what would be done. Exit code 1 when a run that --apply started fails for
    another reason than a gate.
    """
    from ml_assets.services.people.permission import require
    from ml_assets.services.recall_plan import consequences, find

    space = workspace()
    spec = product_named(product, space.settings)
    follows = consequences(space.ledger, spec, find(space.ledger, spec, what, reason=reason, by=by))
    outcome = _outcome(space, follows)
    if not as_json:
        _print(outcome, is_applied=is_applied)
    failures: list[str] = []
    if is_applied:
        require(space.ledger, spec, "recall", by)
        outcome["applied"] = _apply(space, spec, follows, quiet=as_json)
        failures = [error for run in outcome["applied"]["runs"] for error in run["errors"]]
    if as_json:
        click.echo(json.dumps(outcome, indent=1))
    sys.exit(1 if failures else 0)


def _outcome(space: Workspace, follows: "Consequences") -> dict[str, Any]:
    """The recall, what it touched and what it asks for, as JSON values."""
    from ml_assets.services.replicas.shared_logs import served_log
    from ml_assets.serving.log.reader import count_predictions

    counts = count_predictions(served_log(space.settings, space.lineage, follows.recall.product))
    predictions = {name: n for name in follows.releases if (n := counts[name, "production"])}
    return {**msgspec.to_builtins(follows), "predictions": predictions}


def _print(outcome: dict[str, Any], *, is_applied: bool) -> None:
    recall = outcome["recall"]
    named = f"release {recall['name']}" if recall["what"] == "release" else f"partition {recall['partition']}"
    click.echo(f"{recall['product']}: recall of {named}: {recall['reason']}\n\nmade from it:")
    for stage, partitions in outcome["touched"].items():
        click.echo(f"  {stage:<12}{len(partitions):>5}  {_shortened(partitions)}")
    click.echo(f"  releases: {', '.join(outcome['releases']) or 'none'}")
    predictions = outcome["predictions"]
    by_release = "".join(f"; {count} by {name}" for name, count in predictions.items())
    click.echo(f"  predictions given in production: {sum(predictions.values())}{by_release}")
    click.echo("\nto do:" if not is_applied else "\ndoing:")
    for step in outcome["rollbacks"]:
        to = (
            f"roll back to {step['to']}"
            if step["to"]
            else "no clean release ever served: it serves until a clean one is promoted"
        )
        click.echo(f"  {step['environment']}: {step['now']} serves: {to}")
    again = outcome["again"]
    if again["partitions"]:
        click.echo(f"  run again without it: {', '.join(again['partitions'])}")
    elif again["blocked"]:
        click.echo(f"  no clean candidate can be made: {again['blocked']}")
    elif not outcome["rollbacks"]:
        click.echo("  nothing: no release that serves and no newest candidate was made from it")
    if not is_applied:
        click.echo("\nNothing was recorded. The same with --apply does it.")


def _shortened(partitions: list[str]) -> str:
    shown = partitions if len(partitions) <= 6 else [*partitions[:3], "...", *partitions[-2:]]
    return ", ".join(key or "-" for key in shown)


def _apply(space: Workspace, product: Product, follows: "Consequences", *, quiet: bool) -> dict[str, Any]:
    """Record first: from then on nothing bad can be read or promoted, whatever happens to the rest, which can be repeated."""
    from resources.ledger.recalls import record

    is_new = record(space.ledger, follows.recall)
    if not quiet:
        click.echo("  recorded" if is_new else "  was recalled already")
    for step in follows.rollbacks:
        message = _roll_back(space, product, step, follows)
        if not quiet:
            click.echo(f"  {step.environment}: {message}")
    runs = [_run_again(space, product, key, quiet=quiet) for key in follows.again.partitions]
    serving = {name: _serving(space, product, name) for name in ("production", "staging")}
    if not quiet:
        click.echo(f"\n{product.name}: {serving['production'] or 'no release'} serves in production")
    return {"recorded": is_new, "runs": runs, "answers": serving}


def _roll_back(space: Workspace, product: Product, step: "PlannedRollback", follows: "Consequences") -> str:
    from ml_assets.services.replicas.notify import notify_server

    if step.to is None:
        return f"{step.now} goes on serving"
    recall = follows.recall
    space.endpoints.settle(product.name, step.environment)
    reason = f"recall of {recall.name or recall.partition}: {recall.reason}"
    by = Identity(recall.by, recall.proof) if recall.proof else recall.by
    pointer = space.endpoints.rollback(product.name, to=None, by=by, reason=reason, environment=step.environment)
    server = f"; {notify_server(space.ledger, product, pointer.release)}" if step.environment == "production" else ""
    return f"rolled back to {pointer.release}{server}"


def _run_again(space: Workspace, product: Product, key: str, *, quiet: bool) -> dict[str, Any]:
    progress = Progress(f"  {key}", partition=key, quiet=quiet)
    result = run_job(space, product, "path", tags={"dagster/partition": key}, listener=progress)
    progress.close()
    for failure in progress.failures if not quiet else []:
        click.echo(f"    {failure}")
    outcome = {"partition": key, "run": result.run_id, "success": result.success, "stages": progress.stages}
    return {**outcome, "refusals": progress.refusals, "errors": progress.errors}


def _serving(space: Workspace, product: Product, environment: str) -> str | None:
    entry = space.ledger.pointer(product.name, environment)
    return entry.body.release if entry else None
