"""`ml-assets push`: a release with all that it was made from, from this home to another."""

from pathlib import Path

import click

from ml_assets.cli.shared.homes import carry, other_home, own_and_other


@click.command()
@other_home
def command(release: str, home: Path, store: str, ledger: str, *, as_json: bool) -> None:
    """Carry RELEASE to the home in folder HOME, which is made if it is not there, or to a store and a ledger by URL.

    With it go the delivered bytes, data, features and models that it was made from, and what was shown of them; no look, verdict
    or approval. `ml-assets run PRODUCT --partition KEY` there judges it again, and trains nothing.
    """
    own, other = own_and_other(home, store=store, ledger=ledger)
    carry(release, own, other, as_json=as_json)
