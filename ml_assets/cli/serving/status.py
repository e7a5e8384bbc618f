"""`ml-assets status`: the current state of each partition, and the release that serves."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.tables import row, table
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.spec.product import Product

if TYPE_CHECKING:
    from ml_assets.services.stale_evaluations import Staleness


@click.command()
@click.argument("product")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(product: str, as_json: bool) -> None:
    """Show one row per partition of PRODUCT: rows, quarantined, metrics, verdict, release; and the releases that serve.

    Evaluations that were made by other code, configuration or libraries come first.
    """
    from ml_assets.services.stale_evaluations import stale_evaluations

    space = workspace()
    spec = product_named(product, space.settings)
    stale = stale_evaluations(space.lineage, spec)
    rows = [_row(space, spec, key, stale) for key in space.ledger.partitions(product, "raw")]
    pointers = {e: space.ledger.pointer(product, e) for e in ("staging", "production")}
    answers = {name: entry.body.release if entry else None for name, entry in pointers.items()}
    waits, withheld = _waits(space, spec), _withheld(space, spec)
    if as_json:
        click.echo(
            json.dumps(
                {"product": product, "partitions": rows, "answers": answers, "waits": waits, "withheld": withheld}, indent=1
            )
        )
        return
    for line in _stale_lines(stale.values()):
        click.echo(line)
    click.echo(table(spec, [r | {"verdict": f"{r['verdict']} (stale)"} if r["stale"] else r for r in rows]))
    for name, release in answers.items():
        click.echo(f"{name}: {release or 'no release serves'}")
    for name, why in withheld.items():
        click.echo(f"{name} is {why}")
    for name, why in waits.items():
        click.echo(f"{name} {why}; `ml-assets approve {product} {name}`")


def _row(space: Workspace, product: Product, key: str, stale: "Mapping[str, Staleness]") -> dict[str, Any]:
    return row(space, product, key) | {"stale": stale[key].message if key in stale else None}


def _stale_lines(stale: "Iterable[Staleness]") -> Iterator[str]:
    """One line for the evaluations that are stale for the same reason, with the command for the newest of them."""
    by_reason: dict[tuple[str, ...], list[Staleness]] = {}
    for each in stale:
        by_reason.setdefault((each.made_by, *each.causes), []).append(each)
    for same in by_reason.values():
        span = same[0].partition if len(same) == 1 else f"{same[0].partition} to {same[-1].partition}, {len(same)} evaluations"
        yield f"{span}: {same[-1].message}"


def _waits(space: Workspace, product: Product) -> dict[str, str]:
    """The releases that wait for approval, and why. Where no approval is ever required, the ledger is not searched."""
    if not (product.gates.is_ever_approved or product.gates.four_eyes):
        return {}
    from ml_assets.services.release_status import waiting

    return {status.name: status.decision.reasons[0] for status in waiting(space.lineage, product)}


def _withheld(space: Workspace, product: Product) -> dict[str, str]:
    """The releases that come from no clean commit, where the product asks for one, and why."""
    if product.promote is None:
        return {}
    from ml_assets.services.release_status import withheld

    return {status.name: status.decision.reasons[0] for status in withheld(space.lineage, product)}
