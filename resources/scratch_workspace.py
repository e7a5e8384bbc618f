"""A workspace of one's own above another: it reads the other's snapshots, and writes nothing there."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from resources.ledger import ledger as ledgers
from resources.ledger.database import lock
from resources.ledger.ledger import Ledger
from resources.settings import settings
from resources.store.blobs import Blobs, LocalBlobs, is_readable
from resources.store.snapshots import Snapshots
from resources.workspace import Workspace


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


@dataclass(frozen=True)
class Scratch(Workspace):
    """A workspace in a folder of its own, with an empty ledger, above `below`."""

    below: Workspace

    @cached_property
    def snapshots(self) -> Snapshots:
        home = self.settings.home
        return Snapshots(Above(LocalBlobs(home / "store"), self.below.snapshots.blobs), home / "cache" / "checkouts")


def scratch_above(below: Workspace, folder: Path) -> Scratch:
    """The scratch workspace, with the products of the one below."""
    own = settings({"ML_ASSETS_HOME": str(folder)})
    return Scratch(replace(own, products=below.settings.products), below)


def ledger_copy(ledger: Ledger, empty: Ledger) -> None:
    """Write every entry into an empty ledger, as it is, hashes and index tables included."""
    with empty.engine.begin() as connection:
        lock(connection)
        for entry in ledger.entries():
            ledgers.write(connection, entry)
