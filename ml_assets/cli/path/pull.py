"""`ml-assets pull`: a release with all that it was made from, from another home to this one."""

from dataclasses import replace
from pathlib import Path

import click

from ml_assets.cli.shared.homes import carry, other_home, own_and_other
from ml_assets.cli.shared.workspace import Workspace


@click.command()
@other_home
def command(release: str, home: Path, store: str, ledger: str, *, as_json: bool) -> None:
    """Carry RELEASE from the home in folder HOME, or from a store and a ledger by URL, to this one. The other is only read.

    With it come the delivered bytes, data, features and models that it was made from, and what was shown of them; no look,
    verdict or approval. `ml-assets run PRODUCT --partition KEY` judges it again, and trains nothing.
    """
    own, other = own_and_other(home, store=store, ledger=ledger)
    carry(release, read_only(other), own, as_json=as_json)


def read_only(space: Workspace) -> Workspace:
    """A workspace whose ledger is only read, and in which no code is remembered."""
    from resources.lineage import Lineage

    opened = Workspace(space.settings)
    ledger = replace(space.ledger, head_checkpoint=None, is_read_only=True)
    vars(opened).update(ledger=ledger, lineage=Lineage(opened.snapshots, ledger))
    return opened
