"""`ml-assets ledger grants`: the SQL for the role of a server."""

import click

from ml_assets.cli.shared.context import workspace


@click.command()
@click.argument("role")
def command(role: str) -> None:
    """Print the SQL that lets the PostgreSQL role ROLE serve endpoints: it may read the ledger, and write what servers report.

    Run it as the role that owns the ledger's tables, which are made first if they are not there:
    `ml-assets ledger grants server | psql ledger`.
    """
    from ml_assets.services.ledger_database.grants import grants

    space = workspace()
    click.echo("\n".join(grants(space.ledger, role)))
