"""`ml-assets rollback`: let an earlier release serve again, the whole bundle in one step."""

import json

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.person import decided_by
from ml_assets.core.release.identity import By


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--to", help="The release to go back to (name or digest); the one before if not given.")
@click.option("--reason", default="rolled back by hand", show_default=True, help="The reason; it is recorded.")
@decided_by()
@click.option("--json", "as_json", is_flag=True, help="Print the release that serves now as JSON.")
def command(product: str, to: str | None, reason: str, by: By, as_json: bool) -> None:
    """Roll the production endpoint of PRODUCT back. The release that it replaces is not promoted again by itself."""
    from ml_assets.jobs.rollback import roll_back

    space = workspace()
    spec = product_named(product, space.settings)
    pointer, reply = roll_back(space.endpoints, spec, to=to, by=by, reason=reason)
    if as_json:
        outcome = {"release": pointer.release, "bundle": pointer.bundle, "since": pointer.since, "by": pointer.by}
        click.echo(json.dumps({**outcome, "reason": pointer.reason, "server": reply}, indent=1))
    else:
        click.echo(f"{product}: release {pointer.release} serves in production; {reply}")
