"""Blobs of an object store, through any driver that fsspec has, with a local folder that keeps verified copies."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ml_assets.core.digests import sha256
from resources.settings import local_folder
from resources.store.blobs import BlobDamaged, BlobMissing, Blobs, LocalBlobs, is_readable, write_atomically
from resources.store.remote_faults import RemotePlace, StoreRefused, place_of

TRUSTED_SECONDS = 3600.0
"""So long after this machine saw an object in the store, it is not asked for again when its recipe is reused."""
DOUBTED = 0
"""The time of a copy whose object was seen to be missing or changed."""
UPLOADS = 8
"""Objects of one snapshot that are uploaded, or downloaded, at the same time."""
LISTING = "listed.txt"
"""In the folder of copies: the digests that the store has, by its last listing and by what was stored and read since."""
_WITHOUT_FOLDERS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "http", "https"}
_CONNECTION = {
    "connect_timeout": 5,
    "read_timeout": 60,
    "max_pool_connections": 2 * UPLOADS,
    "retries": {"total_max_attempts": 1},
}
"""botocore's options: how often a request is tried again is decided in one place (remote_faults.py)."""
_S3: dict[str, Any] = {"config_kwargs": _CONNECTION, "max_concurrency": 1}
"""With more than one request for an object at a time, s3fs asks for the size of each before it reads it."""
_OPTIONS = {"s3": _S3, "s3a": _S3}
_WRITTEN = ("ETag", "etag", "generation", "LastModified", "mtime", "updated", "created", "ino")
"""What drivers call the mark or the time of an object's last write."""
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


@dataclass(frozen=True)
class RemoteBlobs:
    """Blobs on an fsspec file system. The time of a copy is when the store was last seen to have the object: objects are uploaded
    before they are copied, so that a copy never claims more than the store has."""

    filesystem: Any
    root: str
    cache: LocalBlobs
    setting: str = "ML_ASSETS_STORE"

    @cached_property
    def place(self) -> RemotePlace:
        """The store as errors call it."""
        return place_of(self.filesystem, self.root, setting=self.setting)

    def locate(self, digest: str) -> str:
        """Return the remote name of a blob, whether it exists or not."""
        return f"{self.root}/{digest[:2]}/{digest}"

    def put(self, content: bytes) -> str:
        """Store the content remotely, then locally, and return its digest. Raises StoreAway and StoreRefused."""
        digest = sha256(content)
        self.write(self.locate(digest), content)
        self.cache.put(content)
        self._note(digest)
        return digest

    def put_all(self, contents: Sequence[bytes]) -> list[str]:
        """Store several at the same time, and return their digests in the order given. Raises what `put` raises."""
        if len(contents) < 2:
            return [self.put(content) for content in contents]
        with ThreadPoolExecutor(max_workers=min(UPLOADS, len(contents))) as pool:
            return list(pool.map(self.put, contents))

    def path(self, digest: str) -> Path:
        """Return a local path whose bytes were checked, after a download if needed. Raises BlobMissing or BlobDamaged."""
        try:
            return self.cache.path(digest)
        except BlobDamaged:
            return self._download(digest)

    def paths(self, digests: Sequence[str]) -> list[Path]:
        """Return local paths in the order given, downloading several at the same time. Raises what `path` raises."""
        if all(map(self.cache.has, digests)):
            return [self.path(digest) for digest in digests]
        with ThreadPoolExecutor(max_workers=min(UPLOADS, len(digests))) as pool:
            return list(pool.map(self.path, digests))

    def keep(self, digest: str) -> bool:
        """Whether the store has the blob. A copy proves nothing about it for longer than TRUSTED_SECONDS: the store is asked
        then, and gets back what it lost or has only a part of. Equal sizes count as equal; `ml-assets verify` reads the bytes,
        and what it doubts is uploaded again."""
        if not is_readable(self.cache, digest):
            return is_readable(self, digest)
        copy = self.cache.locate(digest)
        seen = copy.stat().st_mtime
        if 0 <= time.time() - seen < TRUSTED_SECONDS:
            return True
        if seen == DOUBTED or self._size(digest) != copy.stat().st_size:
            content = copy.read_bytes()
            if sha256(content) != digest:
                return False
            self.write(self.locate(digest), content)
        os.utime(copy)
        self._note(digest)
        return True

    def doubt(self, digest: str) -> None:
        """Upload the blob again when its recipe is reused, from a copy that this machine has; list the store again."""
        copy = self.cache.locate(digest)
        if copy.is_file():
            os.utime(copy, (DOUBTED, DOUBTED))
        self._listing.unlink(missing_ok=True)

    def digests(self) -> Iterator[str]:
        """The digests of all remote blobs, in order, asked for now. Raises StoreAway where the store is away: an empty listing
        would call everything in it lost."""
        for name in self.names():
            folder, _, digest = name.rpartition("/")
            if folder.rpartition("/")[2] == digest[:2]:  # next to the blobs lie the store's identity and the logs of servers
                yield digest

    def names(self) -> list[str]:
        """The name of every object of the store, in order, asked for now. Raises what `digests` raises."""
        return [name for name, _ in self.stamps()]

    def stamps(self) -> list[tuple[str, str]]:
        """The name of every object, in order, with a text that is another one once the object was written again; "" where the
        driver tells nothing of that. Raises what `digests` raises."""
        objects = self.place.ask("listed", self.root, self._objects)
        return sorted((name, _stamp(about)) for name, about in objects.items())

    def remembered(self) -> list[str]:
        """The digests of the last listing and of what this machine stored and read since, in order; listed again after
        TRUSTED_SECONDS. What another machine stored may be missing from it."""
        path = self._listing
        if not path.is_file() or not 0 <= time.time() - path.stat().st_mtime < TRUSTED_SECONDS:
            return self.listed()
        return sorted({*path.read_text(encoding="ascii").split()})

    def listed(self) -> list[str]:
        """The digests of the store, in order, asked for now and remembered. What the store lost since is doubted."""
        before = set(self._listing.read_text(encoding="ascii").split()) if self._listing.is_file() else set()
        digests = list(self.digests())
        for lost in before.difference(digests):
            self.doubt(lost)
        write_atomically(self._listing, "".join(f"{digest}\n" for digest in digests).encode("ascii"))
        return digests

    @property
    def _listing(self) -> Path:
        return self.cache.root / LISTING

    def _note(self, digest: str) -> None:
        """Add a digest to what is remembered of the store, if a listing is. The file's time stays that of the listing."""
        path = self._listing
        try:
            times = path.stat()
            handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return
        try:
            os.write(handle, f"{digest}\n".encode("ascii"))
        finally:
            os.close(handle)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def write(self, name: str, content: bytes) -> None:
        """Store an object under the full name, in one request. Raises StoreAway and StoreRefused."""
        self.place.ask("stored", name, lambda: self._write(name, content))

    def fetch(self, name: str) -> bytes:
        """The bytes of the object of this full name. Raises FileNotFoundError, StoreAway and StoreRefused."""
        content: bytes = self.place.ask("read", name, lambda: self.filesystem.cat_file(name))
        return content

    def has(self, digest: str) -> bool:
        """Whether the store has a blob of this name, asked for now."""
        return self._size(digest) is not None

    def _write(self, name: str, content: bytes) -> None:
        """One request where there are no folders. Where there are, a folder that is missing is made first."""
        try:
            self.filesystem.pipe_file(name, content)
        except FileNotFoundError:
            if self.place.scheme in _WITHOUT_FOLDERS:
                raise
            self.filesystem.makedirs(name.rpartition("/")[0], exist_ok=True)
            self.filesystem.pipe_file(name, content)

    def _size(self, digest: str) -> int | None:
        """The size in the store, None where it is not there; a listing that the driver remembers does not count."""
        self.filesystem.invalidate_cache(f"{self.root}/{digest[:2]}")
        name = self.locate(digest)
        try:
            size: int | None = self.place.ask("looked up", name, lambda: self.filesystem.size(name))
        except FileNotFoundError:
            return None
        return size

    def read(self, digest: str) -> bytes:
        """The bytes that the store has now, unchecked. Raises BlobMissing, StoreAway and StoreRefused."""
        try:
            return self.fetch(self.locate(digest))
        except FileNotFoundError as error:
            self.doubt(digest)
            raise BlobMissing(f"snapshot file {digest[:12]} is missing from {self.root}") from error

    def _download(self, digest: str) -> Path:
        content = self.read(digest)
        if (actual := sha256(content)) != digest:
            raise BlobDamaged(f"snapshot file {digest[:12]} was changed in {self.root}: its bytes hash to {actual[:12]}")
        self.cache.put(content)
        self._note(digest)
        return self.cache.locate(digest)

    def _objects(self) -> dict[str, Any]:
        """What the driver says of every object, by name. Its own listing is not taken from what it remembers."""
        self.filesystem.invalidate_cache()
        return self._walked(self.root) if _omits_errors(self.filesystem) else self.filesystem.find(self.root, detail=True)

    def _walked(self, folder: str) -> dict[str, Any]:
        try:
            entries = self.filesystem.ls(folder, detail=True)
        except FileNotFoundError:
            return {}
        files = {entry["name"]: entry for entry in entries if entry["type"] != "directory"}
        for entry in entries:
            if entry["type"] == "directory":
                files |= self._walked(entry["name"].rstrip("/"))
        return files


def _stamp(about: Mapping[str, Any]) -> str:
    """The size of an object and what its driver says of its last write."""
    written = [about[name] for name in _WRITTEN if about.get(name)]
    return f"{about.get('size')} {' '.join(map(str, written))}" if written else ""


def _omits_errors(filesystem: Any) -> bool:
    """Whether a driver lists by fsspec's own walk, which passes over every folder that cannot be listed."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    driver = type(filesystem)
    is_own = getattr(driver, "_find", None) not in (None, AsyncFileSystem._find)
    return driver.find is AbstractFileSystem.find and not is_own


def open_blobs(url: str, *, cache: Path, setting: str = "ML_ASSETS_STORE") -> Blobs:
    """Blobs at a URL: `file:///folder`, or any other scheme that fsspec has a driver for. Raises StoreRefused, which calls the
    URL by its setting."""
    if (folder := local_folder(url)) is not None:
        return LocalBlobs(folder)
    filesystem, root = open_filesystem(url, setting=setting)
    return RemoteBlobs(filesystem, root, LocalBlobs(cache), setting)


def open_filesystem(url: str, *, setting: str) -> tuple[Any, str]:
    """The driver of a URL, and the path in it. Raises StoreRefused."""
    import fsspec

    scheme = url.partition("://")[0]
    try:
        filesystem, root = fsspec.core.url_to_fs(url, **_OPTIONS.get(scheme, {}))
    except (ValueError, ImportError) as error:
        extra = _EXTRAS.get(scheme)
        cure = f"`pip install 'ml-assets[{extra}]'`" if extra else "give file:///folder, or install the driver of fsspec"
        raise StoreRefused(f"{setting}: {scheme}:// cannot be opened: {error}; {cure}") from None
    if scheme in _OPTIONS:
        filesystem.retries = 1
    return filesystem, root.rstrip("/")
