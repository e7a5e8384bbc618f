"""Deliveries in an object store, kept the same in a local folder: what reads deliveries reads files.

Each look lists the product's objects and downloads those that are new or changed. What was removed there is removed here.
"""

import fcntl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from resources.store.blobs import make_folder, write_atomically
from resources.store.remote_blobs import UPLOADS, open_filesystem
from resources.store.remote_faults import RemotePlace, place_of

SETTING = "ML_ASSETS_LANDING"
SEEN_SECONDS = 2.0
"""A product whose objects were listed by this process so shortly ago is not listed again: one tick of a sensor looks often."""
MARKS = ".objects.json"
"""In the local folder of a product: the mark of each object that is there, by name."""
_MARK = ("ETag", "etag", "md5Hash", "generation", "checksum", "LastModified", "mtime", "created", "size")
"""The entries of drivers about an object that change when its bytes do."""


@dataclass
class DeliveredObjects:
    """The objects below a URL. `seen`: when each product was listed last, by the clock of this process."""

    filesystem: Any
    root: str
    url: str
    seen: dict[str, float] = field(default_factory=dict)

    @property
    def place(self) -> RemotePlace:
        """The store as errors call it."""
        return place_of(self.filesystem, self.root, setting=SETTING)

    def mirror(self, folder: Path, product: str) -> None:
        """Make `folder` hold what is delivered for the product. Raises StoreAway and StoreRefused."""
        if time.monotonic() - self.seen.get(product, float("-inf")) < SEEN_SECONDS:
            return
        make_folder(folder)
        with _alone(folder):
            marks = self._listed(product)
            known = msgspec.json.decode(kept.read_bytes()) if (kept := folder / MARKS).is_file() else {}
            here = {name: mark for name, mark in known.items() if (folder / name).is_file()}
            changed = [name for name, mark in marks.items() if here.get(name) != mark]
            with ThreadPoolExecutor(max_workers=UPLOADS) as pool:
                list(pool.map(lambda name: self._download(folder, product, name), changed))
            for name in here.keys() - marks.keys():
                (folder / name).unlink(missing_ok=True)
            if changed or here != marks:
                write_atomically(kept, msgspec.json.encode(marks))
        self.seen[product] = time.monotonic()

    def put(self, name: str, content: bytes) -> str:
        """Deliver an object under `<product>/…`, in one request; its URL. Raises StoreAway and StoreRefused."""
        path = f"{self.root}/{name}"
        self.place.ask("stored", path, lambda: self.filesystem.pipe_file(path, content))
        self.seen.pop(name.partition("/")[0], None)
        return f"{self.url}/{name}"

    def _listed(self, product: str) -> dict[str, str]:
        """The mark of each object of the product, by its name below the product's folder."""
        folder = f"{self.root}/{product}"
        entries = self.place.find(self.filesystem, folder)
        names = {name: name.strip("/").removeprefix(folder.strip("/")).strip("/") for name in entries}
        return {names[name]: mark(entry) for name, entry in sorted(entries.items()) if _is_plain(names[name])}

    def _download(self, folder: Path, product: str, name: str) -> None:
        path = f"{self.root}/{product}/{name}"
        content: bytes = self.place.ask("read", path, lambda: self.filesystem.cat_file(path))
        write_atomically(folder / name, content)


def open_deliveries(url: str) -> DeliveredObjects:
    """The deliveries below a URL. Raises StoreRefused."""
    filesystem, root = open_filesystem(url, setting=SETTING)
    return DeliveredObjects(filesystem, root, url.rstrip("/"))


def mark(entry: Mapping[str, Any]) -> str:
    """The mark that tells that an object has other bytes now, of what its driver says of it."""
    return " ".join(f"{name}={entry[name]}" for name in _MARK if entry.get(name) is not None)


def _is_plain(name: str) -> bool:
    """Whether a name may be that of a local file: whoever delivers chooses it."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.endswith("/") and not {"..", "/"} & set(parts) and not parts[-1].startswith(".")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: a mark must not be written next to another's bytes."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
