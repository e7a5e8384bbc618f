"""Immutable bytes under their SHA-256, on local disk. Those of an object store: remote_blobs.py.

A blob is written to a temporary name, synced and renamed, so a reader sees all of it or nothing.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ml_assets.core.digests import digest_file, sha256
from ml_assets.errors import MlAssetsError
from resources.store.temp_files import UNFINISHED, writing_into


class BlobDamaged(MlAssetsError):
    """A stored blob is missing, or its bytes are not those that its name says."""


class BlobMissing(BlobDamaged):
    """A blob is not in the store at all."""


class Blobs(Protocol):
    """The interface of a place that stores bytes for snapshots."""

    def put(self, content: bytes) -> str:
        """Store the bytes and return their digest; they are durable when this returns."""

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        """Store several blobs, in any order, and return their digests in the order given."""

    def path(self, digest: str) -> Path:
        """A local file with exactly these bytes. Raises BlobDamaged when missing or changed."""

    def paths(self, digests: Sequence[str]) -> list[Path]:
        """Local files with exactly the bytes of each, in the order given. Raises BlobDamaged."""

    def keep(self, digest: str) -> bool:
        """Make sure that the blob is in the store: whether it is there, or was put back from a verified copy."""

    def doubt(self, digest: str) -> None:
        """Trust no longer that the store has the blob, because somebody looked and it was missing or changed."""

    def digests(self) -> Iterator[str]:
        """Every stored digest."""


def is_readable(blobs: Blobs, digest: str) -> bool:
    """Whether the blob can be had with exactly its bytes."""
    try:
        blobs.path(digest)
    except BlobDamaged:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make renames inside the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably: a file in a folder that a power loss takes away is lost too."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace a file so that a reader, or a restart after a crash, sees the old bytes or all of the new ones."""
    make_folder(path.parent)
    with writing_into(path.parent):
        _write_aside(path, content, mode)
    sync_folder(path.parent)


def _write_aside(path: Path, content: bytes, mode: int) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    writing = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        writing.chmod(mode)
        writing.replace(path)
    except BaseException:
        writing.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class LocalBlobs:
    """Blobs in a folder: `<root>/ab/abcd…`, read-only files."""

    root: Path

    def locate(self, digest: str) -> Path:
        """Return the path of a blob, whether it exists or not."""
        return self.root / digest[:2] / digest

    def put(self, content: bytes) -> str:
        """Store the content, and return its digest."""
        digest = sha256(content)
        write_atomically(self.locate(digest), content, mode=0o444)
        return digest

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        """Store them one after the other, and return their digests."""
        return [self.put(content) for content in contents]

    def path(self, digest: str) -> Path:
        """Return the path of a blob whose bytes were checked. Raises BlobMissing or BlobDamaged."""
        path = self.locate(digest)
        if not path.is_file():
            raise BlobMissing(f"snapshot file {digest[:12]} is missing; `ml-assets verify` lists what else is")
        if (actual := digest_file(path)) != digest:
            raise BlobDamaged(f"snapshot file {digest[:12]} was changed: its bytes now hash to {actual[:12]}")
        return path

    def paths(self, digests: Sequence[str]) -> list[Path]:
        """Return the checked path of each. Raises what `path` raises."""
        return [self.path(digest) for digest in digests]

    def has(self, digest: str) -> bool:
        """Whether there is a file of this name; its bytes are not looked at."""
        return self.locate(digest).is_file()

    def keep(self, digest: str) -> bool:
        """Return whether the blob can be read; there is no copy to put back."""
        return is_readable(self, digest)

    def doubt(self, digest: str) -> None:
        """Do nothing: the bytes are read each time."""

    def digests(self) -> Iterator[str]:
        """The digests of all blobs, in order."""
        for path in sorted(self.root.glob("??/*")):
            if not path.name.startswith("."):
                yield path.name


@dataclass(frozen=True)
class Above:
    """Blobs that are written to a place of one's own, and read from there, or from below where they are missing: what was
    changed here is damage, and nothing below hides it."""

    own: Blobs
    below: Blobs

    def put(self, content: bytes) -> str:
        """Store the content in the own place, and return its digest."""
        return self.own.put(content)

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        """Store them in the own place, and return their digests."""
        return self.own.put_all(contents)

    def path(self, digest: str) -> Path:
        """Return a checked path, from the own place or from below. Raises BlobMissing or BlobDamaged."""
        try:
            return self.own.path(digest)
        except BlobMissing:
            return self.below.path(digest)

    def paths(self, digests: Sequence[str]) -> list[Path]:
        """Return the checked path of each. Raises what `path` raises."""
        return [self.path(digest) for digest in digests]

    def keep(self, digest: str) -> bool:
        """Return whether the blob can be read. The store below is never written to, so nothing is put back there."""
        return is_readable(self, digest)

    def doubt(self, digest: str) -> None:
        """Doubt the own place's blob."""
        self.own.doubt(digest)

    def digests(self) -> Iterator[str]:
        """The digests of both places, each once."""
        own = set(self.own.digests())
        yield from own
        yield from (digest for digest in self.below.digests() if digest not in own)
