"""Walk the store: every file hashes to its name, everything that the ledger names is there, and nothing else is."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml_assets.core.digests import digest_file, sha256
from ml_assets.services.verify.discrepancies import Discrepancies, Progress
from resources.store.blobs import Above, BlobMissing, Blobs, LocalBlobs, is_readable
from resources.store.places import IDENTITY
from resources.store.remote_blobs import RemoteBlobs
from resources.store.served_logs import FOLDER
from resources.store.temp_files import UNFINISHED

NAME = re.compile(r"(?P<folder>[0-9a-f]{2})/(?P<digest>(?P=folder)[0-9a-f]{62})")
EVERY = 500


@dataclass
class StoreCheck:
    """`named`: the snapshots that the ledger names, each with how to call what it is a snapshot of. `below`: where what is not in
    the store may be too."""

    blobs: Blobs
    below: Blobs | None
    named: Mapping[str, str]
    discrepancies: Discrepancies
    tell: Progress
    whole: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)

    def run(self) -> int:
        """Check everything; the number of files looked at."""
        count = 0
        for count, (name, path) in enumerate(_files(self.blobs), 1):
            self._file(name, path)
            if count % EVERY == 0:
                self.tell(f"store: {count} files")
        referenced: set[str] = set()
        for snapshot, label in self.named.items():
            referenced |= self._snapshot(snapshot, label)
        for digest in sorted(self.whole - referenced):
            message = "is whole, and nothing in the ledger names it: a run that was killed may have left it"
            self.discrepancies.note("added", f"store {digest}", message)
        return count

    def _file(self, name: str, path: Path | None) -> None:
        if name == IDENTITY or name.startswith(f"{FOLDER}/"):
            return  # which store it is, and what servers logged: nothing in the ledger names them
        where = f"store {name}"
        match = NAME.fullmatch(name)
        if match is None:
            if Path(name).name.startswith(UNFINISHED):
                self.discrepancies.note("added", where, "is a write that a crash cut off; it may be deleted")
            else:
                self.discrepancies.add("added", where, "is not a file of the store", "find out who put it there, then delete it")
            return
        digest = match["digest"]
        if path is not None and path.is_symlink():
            self._damage(digest, "was replaced by a link")
        elif difference := self._difference(digest, path):
            self._damage(digest, difference)
        else:
            self.whole.add(digest)

    def _difference(self, digest: str, path: Path | None) -> str:
        try:
            actual = _digest(self.blobs, digest, path)
        except BlobMissing:
            return "is listed, and cannot be read"
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"
        return "" if actual == digest else f"was changed: its bytes now hash to {actual[:12]}"

    def _damage(self, digest: str, message: str) -> None:
        self.damaged.add(digest)
        self.discrepancies.add(
            "changed", f"store {digest}", message, "put it back from a copy, or delete it and run what made it"
        )

    def _snapshot(self, snapshot: str, label: str) -> set[str]:
        """The files that a named snapshot needs; reports those that are missing."""
        if not self._is_there(snapshot, f"the snapshot of {label}", label):
            return {snapshot}
        path = (Above(self.blobs, self.below) if self.below else self.blobs).path(snapshot)
        members: dict[str, str] = json.loads(path.read_bytes())["members"]
        for name, digest in members.items():
            self._is_there(digest, f"{name} of {label}", label)
        return {snapshot, *members.values()}

    def _is_there(self, digest: str, what: str, label: str) -> bool:
        if digest in self.whole or digest in self.damaged:
            return digest in self.whole
        if self.below and is_readable(self.below, digest):
            self.whole.add(digest)
        else:
            command = f"put it back from a copy, or run it again: `{_run(label)}`"
            self.discrepancies.add("missing", f"store {digest}", f"{what} is missing", command)
            self.damaged.add(digest)
        return digest in self.whole


def _run(label: str) -> str:
    """The command that makes "product/stage partition" again, or puts back what this machine has a copy of."""
    asset, _, partition = label.partition(" ")
    at = f" --partition {partition}" if partition else ""
    return f"ml-assets run {asset.partition('/')[0]}{at}"


def _files(blobs: Blobs) -> Iterator[tuple[str, Path | None]]:
    """Every file under the store's root by its name relative to that; with its path where it is local."""
    if isinstance(blobs, LocalBlobs):
        for path in sorted(blobs.root.rglob("*")):
            if path.is_symlink() or not path.is_dir():
                yield path.relative_to(blobs.root).as_posix(), path
    elif isinstance(blobs, RemoteBlobs):
        root = blobs.root.strip("/")
        for name in blobs.names():
            yield name.strip("/").removeprefix(root).strip("/"), None


def _digest(blobs: Blobs, digest: str, path: Path | None) -> str:
    """The digest of the stored bytes themselves: what a cache has of them is not proof."""
    if path is not None:
        return digest_file(path)
    if isinstance(blobs, RemoteBlobs):
        return sha256(blobs.read(digest))
    return digest_file(blobs.path(digest))
