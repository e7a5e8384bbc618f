"""Steps that the commands for people's decisions share: record it, run the path of its partition, print the outcome."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from ml_assets.cli.shared.context import product_named, run_job, workspace
from ml_assets.cli.shared.progress import Progress
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.release.approvals import Answer
from ml_assets.core.release.identity import By
from ml_assets.spec.product import Product


def decide(product: str, release: str, *, decision: Answer, by: By, reason: str, as_json: bool) -> None:
    """Approve or refuse a release that waits."""
    from ml_assets.services.release_status import answer

    space = workspace()
    spec = product_named(product, space.settings)
    status, entry = answer(space.lineage, spec, release, decision=decision, by=by, reason=reason, via="cli")
    body = entry.body
    outcome = {"decision": body.decision, "name": body.release, "release": body.bundle, "by": body.by, "reason": body.reason}
    message = f"{product}: release {status.name} {body.decision} by {body.by}"
    go_on(space, spec, status.release.partition, decision=outcome, message=message, as_json=as_json)


def go_on(
    space: Workspace, product: Product, partition: str, *, decision: Mapping[str, Any], message: str, as_json: bool
) -> None:
    """Run the path, in which the decision takes effect, and print which release serves then. Exit code 1 when a step fails."""
    from ml_assets.services.release_status import waiting

    if not as_json:
        click.echo(message)
    progress = Progress(f"{product.name} {partition}", partition=partition, quiet=as_json)
    result = run_job(space, product, "path", tags={"dagster/partition": partition}, listener=progress)
    progress.close()
    pointer = space.ledger.pointer(product.name, "production")
    serving = pointer.body.release if pointer else None
    waits = {status.name: status.decision.reasons[0] for status in waiting(space.lineage, product)}
    outcome = {**decision, "run": result.run_id, "success": result.success, "failures": progress.failures}
    if as_json:
        click.echo(json.dumps({"product": product.name, **outcome, "answers": serving, "waits": waits}, indent=1))
    else:
        for failure in progress.failures:
            click.echo(f"  {failure}", err=True)
        for name, why in waits.items():
            click.echo(f"{product.name}: release {name} {why}")
        click.echo(f"{product.name}: {f'release {serving}' if serving else 'no release'} serves in production")
    sys.exit(0 if result.success else 1)
