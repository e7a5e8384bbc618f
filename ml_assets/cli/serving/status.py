"""`ml-assets status`: the current state of each partition, and the release that serves."""

import json

import click

from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.tables import row, table
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.spec.product import Product


@click.command()
@click.argument("product")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(product: str, as_json: bool) -> None:
    """Show one row per partition of PRODUCT: rows, quarantined, metrics, verdict, release; and the releases that serve."""
    space = workspace()
    spec = product_named(product, space.settings)
    rows = [row(space, spec, key) for key in space.ledger.partitions(product, "raw")]
    pointers = {e: space.ledger.pointer(product, e) for e in ("staging", "production")}
    answers = {name: entry.body.release if entry else None for name, entry in pointers.items()}
    waits = _waits(space, spec)
    if as_json:
        click.echo(json.dumps({"product": product, "partitions": rows, "answers": answers, "waits": waits}, indent=1))
        return
    click.echo(table(spec, rows))
    for name, release in answers.items():
        click.echo(f"{name}: {release or 'no release serves'}")
    for name, why in waits.items():
        click.echo(f"{name} {why}; `ml-assets approve {product} {name}`")


def _waits(space: Workspace, product: Product) -> dict[str, str]:
    """The releases that wait for approval, and why. Where no approval is ever required, the ledger is not searched."""
    if not (product.gates.is_ever_approved or product.gates.four_eyes):
        return {}
    from ml_assets.services.release_status import waiting

    return {status.name: status.decision.reasons[0] for status in waiting(space.lineage, product)}
