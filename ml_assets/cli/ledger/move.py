"""`ml-assets ledger move`: the ledger goes on in another database."""

import click

from ml_assets.cli.shared.context import workspace


@click.command()
@click.argument("target", metavar="URL")
def command(target: str) -> None:
    """Move the ledger of this home to the empty database at URL.

    Every entry is checked and copied as it is, in one transaction, checked again in the new database, and only then is the old
    ledger marked as moved: it can still be read, and takes no more entries. Servers and runs that still write to it are refused
    with the new place; set ML_ASSETS_LEDGER for all of them.

    Example: ml-assets ledger move postgresql+psycopg://ml@db/ledger
    """
    from ml_assets.services.ledger_database.move import move
    from resources.ledger.database import shown

    space = workspace()
    head = move(space.ledger, target)
    click.echo(f"{head.seq} entries, the newest {head.hash[:12]}, are in {shown(target)} now.")
    click.echo("Next: set ML_ASSETS_LEDGER to it wherever this ledger is used, then run `ml-assets verify`.")
