"""`ml-assets freeze`: let nothing of a product be trained or promoted for a while."""

import json
from datetime import UTC, datetime

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.person import decided_by
from ml_assets.core.release.identity import By


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--until", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"]), help="The end: a day or a minute, UTC.")
@click.option("--lift", is_flag=True, help="End it now.")
@decided_by()
@click.option("--reason", default="frozen by hand", show_default=True, help="The reason; it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print the current freeze as JSON.")
def command(product: str, until: datetime | None, *, lift: bool, by: By, reason: str, as_json: bool) -> None:
    """Stop training and promotion of PRODUCT until a day; deliveries are still read, checked, watched and scored, and the
    release that serves goes on serving. Afterwards the newest partition is trained as usual.

    Example: `ml-assets freeze flights --until 2026-12-27 --reason "holidays"`. Without --until and --lift it prints the
    current freeze.
    """
    from ml_assets.services.people.permission import require
    from resources.ledger.triggers import freeze, frozen

    space, now = workspace(), datetime.now(UTC)
    spec = product_named(product, space.settings)
    if until is not None and lift:
        raise click.UsageError("--until begins or moves a freeze and --lift ends it: give one of them")
    if until is not None and until.replace(tzinfo=UTC) <= now:
        raise click.UsageError(f"--until {until:%Y-%m-%dT%H:%M} is past; name a later moment, in UTC")
    if until is not None or lift:
        require(space.ledger, spec, "freeze", by)
        freeze(space.ledger, spec.name, until=now if lift or until is None else until.replace(tzinfo=UTC), by=by, reason=reason)
    state = frozen(space.ledger, spec.name, datetime.now(UTC))
    click.echo(json.dumps({"product": product, "frozen": state or None}) if as_json else f"{product}: {state or 'not frozen'}")
