"""`ml-assets ledger`: the ledger's database. Each command is a module of this package."""

import click

from ml_assets.cli import LazyGroup

COMMANDS = {
    "show": "Show which ledger and which store this home belongs to.",
    "move": "Move the ledger to another database, such as from SQLite to PostgreSQL.",
    "grants": "Print the SQL that lets a PostgreSQL role serve: read the ledger, and report.",
}


@click.group(cls=LazyGroup, folders={"ledger": COMMANDS}, prefix="ledger ")
def command() -> None:
    """Show, move and open up the ledger's database."""
