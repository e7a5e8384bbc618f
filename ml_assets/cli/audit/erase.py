"""`ml-assets erase`: take the body of one ledger entry away, by a named person, so that the chain still verifies."""

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.person import decided_by
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.release.identity import By
from ml_assets.spec.product import load_all
from resources.ledger.erasure import erase

LEFT = (
    "Its bytes may still be in the database's files: in SQLite's write-ahead log until every process that has the ledger open "
    "ends, in PostgreSQL until `VACUUM FULL entries`."
)


@click.command()
@click.argument("seq", type=int)
@decided_by(is_named=True)
@click.option("--reason", required=True, help="The reason; it stays in the ledger, so don't repeat there what is erased.")
def command(seq: int, by: By, reason: str) -> None:
    """Erase the body of ledger entry SEQ for good, such as a name in a refusal.

    A digest takes its place. The name and the reason are recorded in a new entry. Bodies that decide, serve or count cannot be
    erased, nor can entries that were written before bodies could be. Copies and backups keep what they have.
    """
    space = workspace()
    _require(space, seq, by)
    done = erase(space.ledger, seq, by=by, reason=reason)
    click.echo(f"The body of entry {seq} is erased; entry {done.erasure.seq} records it.")
    if not done.is_wiped:
        click.echo(LEFT)


def _require(space: Workspace, seq: int, by: By) -> None:
    """Every product has to permit it, unless the entry is about one alone."""
    from ml_assets.services.people.permission import require
    from resources.ledger import tables as schema

    products = load_all(space.settings.products)
    entry = next(iter(space.ledger.entries(schema.entries.c.seq == seq)), None)
    about = products.get(str(entry.body.get("product"))) if entry else None
    for product in products.values() if about is None else (about,):
        require(space.ledger, product, "erase", by)
