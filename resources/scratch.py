"""A lineage of one's own above a store: it reads the snapshots there, and writes nothing there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from resources.ledger import ledger as ledgers
from resources.ledger.database import lock
from resources.ledger.ledger import Ledger
from resources.lineage import Lineage
from resources.store.blobs import Blobs, LocalBlobs, is_readable
from resources.store.snapshots import Snapshots


@dataclass(frozen=True)
class Above:
    """Blobs that are written to a folder, and read from there or from below."""

    own: LocalBlobs
    below: Blobs

    def put(self, content: bytes) -> str:
        return self.own.put(content)

    def path(self, digest: str) -> Path:
        return self.own.path(digest) if self.own.locate(digest).is_file() else self.below.path(digest)

    def keep(self, digest: str) -> bool:
        """What lies below is not written to, so nothing is put back there: what can be read is good enough."""
        return is_readable(self, digest)

    def digests(self) -> Iterator[str]:
        return self.own.digests()


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
