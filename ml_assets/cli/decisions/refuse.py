"""`ml-assets refuse`: refuse a release that waits for a person, for good."""

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.decisions import decide
from ml_assets.cli.shared.person import decided_by
from ml_assets.core.release.identity import By


@click.command()
@click.argument("product", type=PRODUCT)
@click.argument("release")
@decided_by()
@click.option("--reason", required=True, help="The reason; it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(product: str, release: str, by: By, reason: str, as_json: bool) -> None:
    """Refuse RELEASE (name or digest) of PRODUCT. That is final for this release; no later approval undoes it."""
    decide(product, release, decision="refused", by=by, reason=reason, as_json=as_json)
