"""`ml-assets ledger show`: the ledger and the store of this home."""

import json

import click

from ml_assets.cli.shared.context import workspace


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(*, as_json: bool) -> None:
    """Show which ledger and which store this home belongs to: the ledger's identity, its newest entry, and where both are."""
    from resources.ledger.database import shown
    from resources.ledger.following import identity_of, newest
    from resources.store.places import place_of, store_id

    space = workspace()
    identity, head = identity_of(space.ledger), newest(space.ledger)
    facts = {
        "home": str(space.settings.home),
        "ledger": identity or "",
        "database": shown(space.settings.ledger),
        "entries": head.seq if head else 0,
        "newest": head.hash if head else "",
        "store": store_id(space.snapshots.blobs) or "",
        "place": place_of(space.snapshots.blobs),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    for name, value in facts.items():
        click.echo(f"{name:<10} {value or 'none yet: nothing was recorded'}")
