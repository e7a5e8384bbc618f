"""`ml-assets rollback`: let an earlier release answer again, the whole bundle in one step."""

import getpass
import json

import click

from ml_assets.cli.shared.context import product_named, workspace


@click.command()
@click.argument("product")
@click.option("--to", help="The release to go back to (name or digest); the one before if not given.")
@click.option("--reason", default="rolled back by hand", show_default=True, help="Why; it is recorded.")
@click.option("--by", default=getpass.getuser, help="Who; the login name if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print who answers now as JSON.")
def command(product: str, to: str | None, reason: str, by: str, as_json: bool) -> None:
    """Roll the production endpoint of PRODUCT back. The release that is taken off is not promoted again by itself."""
    from ml_assets.jobs.rollback import roll_back

    space = workspace()
    spec = product_named(product, space.settings)
    pointer, told = roll_back(space.endpoints, spec, to=to, by=by, reason=reason)
    if as_json:
        answers = {"release": pointer.release, "bundle": pointer.bundle, "since": pointer.since, "by": pointer.by}
        click.echo(json.dumps({**answers, "reason": pointer.reason, "server": told}, indent=1))
    else:
        click.echo(f"{product}: release {pointer.release} answers in production; {told}")
