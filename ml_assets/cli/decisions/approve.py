"""`ml-assets approve`: approve a release that waits for a person."""

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.decisions import decide
from ml_assets.cli.shared.person import decided_by
from ml_assets.core.release.identity import By


@click.command()
@click.argument("product", type=PRODUCT)
@click.argument("release")
@decided_by()
@click.option("--reason", default="read the model card", show_default=True, help="The reason; it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(product: str, release: str, by: By, reason: str, as_json: bool) -> None:
    """Approve RELEASE (name or digest) of PRODUCT, and run its path, so that it serves.

    It counts for exactly these bytes and their evaluation. Read first: `ml-assets card RELEASE`.
    """
    decide(product, release, decision="approved", by=by, reason=reason, as_json=as_json)
