"""`ml-assets erase`: take the body of one ledger entry away, by a named person, so that the chain still verifies."""

import click

from ml_assets.cli.shared.context import workspace
from resources.ledger.erasure import erase

LEFT = (
    "Its bytes may still be in the database's files: in SQLite's write-ahead log until every process that has the ledger open "
    "ends, in PostgreSQL until `VACUUM FULL entries`."
)


@click.command()
@click.argument("seq", type=int)
@click.option("--by", required=True, help="Name of the person who decided it.")
@click.option("--reason", required=True, help="The reason; it stays in the ledger, so don't repeat there what is erased.")
def command(seq: int, by: str, reason: str) -> None:
    """Erase the body of ledger entry SEQ for good, such as a name in a refusal.

    A digest takes its place. The name and the reason are recorded in a new entry. Bodies that decide, serve or count cannot be
    erased, nor can entries that were written before bodies could be. Copies and backups keep what they have.
    """
    done = erase(workspace().ledger, seq, by=by, reason=reason)
    click.echo(f"The body of entry {seq} is erased; entry {done.erasure.seq} records it.")
    if not done.is_wiped:
        click.echo(LEFT)
