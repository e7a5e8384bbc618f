"""Digests of delivered files, remembered so that an unchanged file is not read again."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ml_assets.core.digests import digest_file
from ml_assets.spec.product import Product
from resources.landing import Landing, NotDelivered
from resources.store.blobs import write_atomically

SETTLED_NS = 1_000_000_000
"""A file that changed this recently may change again without any of its times showing it: it is read each time."""

Known = tuple[int, int, int, str]
"""Time of the inode's last change (ns), which a change of content moves too; size (bytes); inode; digest."""


@dataclass
class FileDigests:
    """Digests of delivered files, kept with size, times and inode. The time of the last change of the inode, which no one
    can set back, shows a file that was changed in place and given its old date again."""

    path: Path
    known: dict[str, Known]
    is_changed: bool = False

    @classmethod
    def read(cls, path: Path) -> "FileDigests":
        """Return the digests kept in a file; none if it does not exist, or other code wrote it."""
        try:
            return cls(path, msgspec.json.decode(path.read_bytes(), type=dict[str, Known]))
        except (FileNotFoundError, msgspec.DecodeError):  # what is remembered can be lost: files are read again
            return cls(path, {})

    def of(self, file: str, stat: os.stat_result) -> str:
        """The digest of a file of which this is the state."""
        known, changed = self.known.get(file), stat.st_ctime_ns
        if known is not None and known[0] == changed and known[1] == stat.st_size and known[2] == stat.st_ino:
            return known[3]
        digest = digest_file(Path(file))
        self.is_changed |= self.known.pop(file, None) is not None
        if time.time_ns() - changed >= SETTLED_NS:
            self.known[file], self.is_changed = (changed, stat.st_size, stat.st_ino, digest), True
        return digest

    def write(self) -> None:
        """Keep what was learned."""
        if self.is_changed:
            write_atomically(self.path, msgspec.json.encode(self.known))


def partitions(landing: Landing, product: Product, digests: FileDigests) -> dict[str, dict[str, str]]:
    """The digest of each table's file, per delivered partition, in order."""
    return {
        key: {table: digests.of(entry.path, entry.stat()) for table, entry in entries.items()}
        for key, entries in landing.listing(product).partitions.items()
    }


def reference(landing: Landing, product: Product, digests: FileDigests) -> dict[str, str]:
    """The digest of each reference table's file; nothing where one is missing."""
    try:
        files = landing.reference_files(product)
    except NotDelivered:
        return {}
    return {table: digests.of(str(path), path.stat()) for table, path in files.items()}
