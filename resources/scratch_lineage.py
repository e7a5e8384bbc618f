"""A lineage of one's own above a store: it reads the snapshots there, and writes nothing there."""

from pathlib import Path

from resources.ledger import ledger as ledgers
from resources.ledger.database import lock
from resources.ledger.ledger import Ledger
from resources.lineage import Lineage
from resources.store.blobs import Above, LocalBlobs
from resources.store.snapshots import Snapshots


def snapshots_above(below: Snapshots, folder: Path) -> Snapshots:
    """Snapshots that are written to `folder/store`, and read from there or from below."""
    return Snapshots(Above(LocalBlobs(folder / "store"), below.blobs), folder / "cache" / "checkouts")


def lineage_above(below: Snapshots, folder: Path) -> Lineage:
    """A lineage with an empty ledger in the folder, above the snapshots below."""
    return Lineage(snapshots_above(below, folder), Ledger(f"sqlite:///{folder / 'ledger.db'}"))


def ledger_copy(ledger: Ledger, empty: Ledger) -> None:
    """Write every entry into an empty ledger, as it is, hashes and index tables included."""
    with empty.engine.begin() as connection:
        lock(connection)
        for entry in ledger.entries():
            ledgers.write(connection, entry)
