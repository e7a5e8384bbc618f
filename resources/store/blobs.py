"""Immutable bytes under their SHA-256: on local disk, or on any object store that fsspec knows.

A blob is written to a temporary name, synced and renamed, so a reader sees all of it or nothing.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ml_assets.core.digests import digest_file, sha256
from ml_assets.errors import MlAssetsError
from resources.settings import local_folder
from resources.store.temp_files import UNFINISHED, writing_into


class BlobDamaged(MlAssetsError):
    """A stored blob is missing, or its bytes are not those that its name says."""


class BlobMissing(BlobDamaged):
    """A blob is not in the store at all."""


class StoreRefused(MlAssetsError):
    """The URL of the store is one that cannot be opened."""


class Blobs(Protocol):
    """The interface of a place that stores bytes for snapshots."""

    def put(self, content: bytes) -> str:
        """Store the bytes and return their digest; they are durable when this returns."""

    def path(self, digest: str) -> Path:
        """A local file with exactly these bytes. Raises BlobDamaged when missing or changed."""

    def keep(self, digest: str) -> bool:
        """Make sure that the blob is in the store: whether it is there, or was put back from a verified copy."""

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

    def path(self, digest: str) -> Path:
        """Return the path of a blob whose bytes were checked. Raises BlobMissing or BlobDamaged."""
        path = self.locate(digest)
        if not path.is_file():
            raise BlobMissing(f"snapshot file {digest[:12]} is missing; `ml-assets verify` lists what else is")
        if (actual := digest_file(path)) != digest:
            raise BlobDamaged(f"snapshot file {digest[:12]} was changed: its bytes now hash to {actual[:12]}")
        return path

    def keep(self, digest: str) -> bool:
        """Return whether the blob can be read; there is no copy to put back."""
        return is_readable(self, digest)

    def digests(self) -> Iterator[str]:
        """The digests of all blobs, in order."""
        for path in sorted(self.root.glob("??/*")):
            if not path.name.startswith("."):
                yield path.name


@dataclass(frozen=True)
class RemoteBlobs:
    """Blobs on an fsspec file system, with a local folder that keeps what was read."""

    filesystem: Any
    root: str
    cache: LocalBlobs

    def locate(self, digest: str) -> str:
        """Return the remote name of a blob, whether it exists or not."""
        return f"{self.root}/{digest[:2]}/{digest}"

    def put(self, content: bytes) -> str:
        """Store the content locally and remotely, and return its digest."""
        digest = self.cache.put(content)
        self._upload(digest, content)
        return digest

    def _upload(self, digest: str, content: bytes) -> None:
        self.filesystem.makedirs(f"{self.root}/{digest[:2]}", exist_ok=True)
        self.filesystem.pipe_file(self.locate(digest), content)

    def path(self, digest: str) -> Path:
        """Return a local path whose bytes were checked, after a download if needed. Raises BlobMissing or BlobDamaged."""
        try:
            return self.cache.path(digest)
        except BlobDamaged:
            return self._download(digest)

    def keep(self, digest: str) -> bool:
        """A copy proves nothing about the store: ask the store, and upload what it lost or has only a part of. Equal sizes
        count as equal here; `ml-assets verify` reads the bytes."""
        if not is_readable(self.cache, digest):
            return is_readable(self, digest)
        copy = self.cache.locate(digest)
        if self._size(digest) == copy.stat().st_size:
            return True
        content = copy.read_bytes()
        if sha256(content) != digest:
            return False
        self._upload(digest, content)
        return True

    def _size(self, digest: str) -> int | None:
        """The size in the store, None where it is not there; a listing that the driver remembers does not count."""
        self.filesystem.invalidate_cache(f"{self.root}/{digest[:2]}")
        try:
            size: int | None = self.filesystem.size(self.locate(digest))
        except FileNotFoundError:
            return None
        return size

    def _download(self, digest: str) -> Path:
        try:
            content = self.filesystem.cat_file(self.locate(digest))
        except FileNotFoundError as error:
            raise BlobMissing(f"snapshot file {digest[:12]} is missing from {self.root}") from error
        if (actual := sha256(content)) != digest:
            raise BlobDamaged(f"snapshot file {digest[:12]} was changed in {self.root}: its bytes hash to {actual[:12]}")
        self.cache.put(content)
        return self.cache.locate(digest)

    def digests(self) -> Iterator[str]:
        """The digests of all remote blobs, in order. Raises what the driver raises where the store is away: an empty listing
        would call everything in it lost."""
        names = self._listed(self.root) if _omits_errors(self.filesystem) else self.filesystem.find(self.root)
        for name in sorted(names):
            folder, _, digest = name.rpartition("/")
            if folder.rpartition("/")[2] == digest[:2]:  # next to the blobs lie the logs of servers
                yield digest

    def _listed(self, folder: str) -> list[str]:
        try:
            entries = self.filesystem.ls(folder, detail=True)
        except FileNotFoundError:
            return []
        files = [entry["name"] for entry in entries if entry["type"] != "directory"]
        folders = [entry["name"].rstrip("/") for entry in entries if entry["type"] == "directory"]
        return files + [name for inner in folders for name in self._listed(inner)]


def _omits_errors(filesystem: Any) -> bool:
    """Whether a driver lists by fsspec's own walk, which passes over every folder that cannot be listed."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    driver = type(filesystem)
    is_own = getattr(driver, "_find", None) not in (None, AsyncFileSystem._find)
    return driver.find is AbstractFileSystem.find and not is_own


@dataclass(frozen=True)
class Above:
    """Blobs that are written to a place of one's own, and read from there, or from below where they are missing: what was
    changed here is damage, and nothing below hides it."""

    own: Blobs
    below: Blobs

    def put(self, content: bytes) -> str:
        """Store the content in the own place, and return its digest."""
        return self.own.put(content)

    def path(self, digest: str) -> Path:
        """Return a checked path, from the own place or from below. Raises BlobMissing or BlobDamaged."""
        try:
            return self.own.path(digest)
        except BlobMissing:
            return self.below.path(digest)

    def keep(self, digest: str) -> bool:
        """Return whether the blob can be read. The store below is never written to, so nothing is put back there."""
        return is_readable(self, digest)

    def digests(self) -> Iterator[str]:
        """The digests of both places, each once."""
        own = set(self.own.digests())
        yield from own
        yield from (digest for digest in self.below.digests() if digest not in own)


def open_blobs(url: str, *, cache: Path) -> Blobs:
    """Blobs at a URL: `file:///folder`, or any other scheme that fsspec has a driver for."""
    if (folder := local_folder(url)) is not None:
        return LocalBlobs(folder)
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        scheme = url.partition("://")[0]
        raise StoreRefused(
            f"ML_ASSETS_STORE: {scheme}:// cannot be opened: {error}; give file:///folder, or install the driver of fsspec"
        ) from None
    return RemoteBlobs(filesystem, root.rstrip("/"), LocalBlobs(cache))
