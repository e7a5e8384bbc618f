"""Walk the store: every file hashes to its name, everything that the ledger names is there, and nothing else is.

Files that an earlier check read and that are as they were then are not read again; what names them was checked then too.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml_assets.core.digests import digest_file, sha256
from ml_assets.services.verify.discrepancies import Discrepancies, Progress
from ml_assets.services.verify.seen_files import SeenFiles
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
    the store may be too. `files`: those that hash to their names; at first what an earlier check saw of them."""

    blobs: Blobs
    below: Blobs | None
    named: Mapping[str, str]
    discrepancies: Discrepancies
    tell: Progress
    files: SeenFiles
    is_below: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)

    def run(self) -> int:
        """Check everything; the number of files that were read."""
        read = 0
        for count, (name, path, stamp) in enumerate(_files(self.blobs), 1):
            read += self._file(name, path, stamp)
            if count % EVERY == 0:
                self.tell(f"store: {count} files")
        for digest in self.files.lost(self._is_stored()):
            self._is_there(digest, "a file that was there when the store was verified last", "")
        for snapshot, label in self.named.items():
            for digest in self._snapshot(snapshot, label):
                self.files.name(digest)
        for digest in self.files.unnamed():
            message = "is whole, and nothing in the ledger names it: a run that was killed may have left it"
            self.discrepancies.note("added", f"store {digest}", message)
        return read

    def _file(self, name: str, path: Path | None, stamp: str) -> bool:
        """Check one; whether it is no file that an earlier check read."""
        if name == IDENTITY or name.startswith(f"{FOLDER}/"):
            return self.files.is_first_look  # which store it is, and what servers logged: nothing in the ledger names them
        where = f"store {name}"
        match = NAME.fullmatch(name)
        if match is None:
            if Path(name).name.startswith(UNFINISHED):
                self.discrepancies.note("added", where, "is a write that a crash cut off; it may be deleted")
            else:
                self.discrepancies.add("added", where, "is not a file of the store", "find out who put it there, then delete it")
            return True
        digest = match["digest"]
        if self.files.is_unchanged(digest, stamp):
            return False
        if path is not None and path.is_symlink():
            self._damage(digest, "was replaced by a link")
        elif difference := self._difference(digest, path):
            self._damage(digest, difference)
        else:
            self.files.add(digest, stamp)
        return True

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
        self.files.drop(digest)
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
        if digest in self.damaged:
            return False
        if digest in self.is_below or self.files.has(digest):
            return True
        if self.below and is_readable(self.below, digest):
            self.is_below.add(digest)
            return True
        again = f"run it again: `{_run(label)}`" if label else "`ml-assets verify` says what needs it"
        self.discrepancies.add("missing", f"store {digest}", f"{what} is missing", f"put it back from a copy, or {again}")
        self.damaged.add(digest)
        return False

    def _is_stored(self) -> Callable[[str], bool]:
        """Whether the store has a file of a digest, whatever its bytes are."""
        if isinstance(self.blobs, LocalBlobs):
            locate = self.blobs.locate
            return lambda digest: os.path.lexists(locate(digest))
        return set(self.blobs.digests()).__contains__


def _run(label: str) -> str:
    """The command that makes "product/stage partition" again, or puts back what this machine has a copy of."""
    asset, _, partition = label.partition(" ")
    at = f" --partition {partition}" if partition else ""
    return f"ml-assets run {asset.partition('/')[0]}{at}"


def _files(blobs: Blobs) -> Iterator[tuple[str, Path | None, str]]:
    """Every file under the store's root by its name relative to that, in order; with its path if it is local, and its stamp."""
    if isinstance(blobs, LocalBlobs):
        yield from _walked(blobs.root, "") if blobs.root.is_dir() else ()
    elif isinstance(blobs, RemoteBlobs):
        root = blobs.root.strip("/")
        for name, stamp in blobs.stamps():
            yield name.strip("/").removeprefix(root).strip("/"), None, stamp


def _walked(folder: Path, prefix: str) -> Iterator[tuple[str, Path | None, str]]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path, name = folder / entry.name, f"{prefix}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _walked(path, f"{name}/")
        else:
            yield name, path, _stamp(entry)


def _stamp(entry: "os.DirEntry[str]") -> str:
    """Another text after each write; "" where a writer has renamed or removed the file since it was listed."""
    try:
        stat = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _digest(blobs: Blobs, digest: str, path: Path | None) -> str:
    """The digest of the stored bytes themselves: what a cache has of them is not proof."""
    if path is not None:
        return digest_file(path)
    if isinstance(blobs, RemoteBlobs):
        return sha256(blobs.read(digest))
    return digest_file(blobs.path(digest))
