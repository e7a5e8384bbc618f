"""The prediction logs of servers in the store that machines share, next to the blobs: `served/<log>/<day>/<hour>/<file>`.

A file's name ends with the digest of its bytes. Nothing is replaced and nothing is read in part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml_assets.core.digests import sha256
from resources.store.blobs import Above, BlobDamaged, Blobs, LocalBlobs, write_atomically
from resources.store.remote_blobs import RemoteBlobs

FOLDER = "served"
DIGITS = 16


@dataclass(frozen=True)
class ServedLogs:
    """The logs in the store of these blobs. `log` names one: `predictions/flights`."""

    blobs: LocalBlobs | RemoteBlobs

    def put(self, log: str, hour: str, *, owner: str, content: bytes) -> str:
        """Add a file of an hour (`2026-11-30/07`); return its name, `<log>/<hour>/<owner>-<digest>.parquet`."""
        name = f"{log}/{hour}/{owner}-{sha256(content)[:DIGITS]}.parquet"
        match self.blobs:
            case LocalBlobs(root=root):
                write_atomically(root / FOLDER / name, content, mode=0o640)
            case RemoteBlobs(root=root) as remote:
                remote.write(f"{root}/{FOLDER}/{name}", content)
        return name

    def products(self, kind: str) -> list[str]:
        """The products of which there is a log of this kind (`predictions`)."""
        match self.blobs:
            case LocalBlobs(root=root):
                return sorted(path.name for path in (root / FOLDER / kind).glob("*"))
            case RemoteBlobs(filesystem=filesystem, root=root):
                filesystem.invalidate_cache()
                folder = f"{root}/{FOLDER}/{kind}"
                try:
                    entries = self.blobs.place.ask("listed", folder, lambda: filesystem.ls(folder, detail=False))
                except FileNotFoundError:
                    return []
                return sorted(entry.rstrip("/").rpartition("/")[2] for entry in entries)

    def names(self, log: str) -> Iterator[str]:
        """The names of all files of a log."""
        match self.blobs:
            case LocalBlobs(root=root):
                yield from (path.relative_to(root / FOLDER).as_posix() for path in (root / FOLDER / log).glob("*/*/*.parquet"))
            case RemoteBlobs(filesystem=filesystem, root=root):
                prefix = f"{root}/{FOLDER}/"
                filesystem.invalidate_cache()
                listed = self.blobs.place.ask("listed", f"{prefix}{log}", lambda: filesystem.find(f"{prefix}{log}"))
                yield from (name[name.index(prefix) + len(prefix) :] for name in listed)

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises BlobDamaged where they are not those that its name says."""
        match self.blobs:
            case LocalBlobs(root=root):
                content = (root / FOLDER / name).read_bytes()
            case RemoteBlobs(root=root) as remote:
                content = remote.fetch(f"{root}/{FOLDER}/{name}")
        digits = Path(name).stem.rpartition("-")[2]
        if sha256(content)[:DIGITS] != digits:
            raise BlobDamaged(f"the served log {name} was changed in the store: its bytes hash to {sha256(content)[:DIGITS]}")
        return content


def served_logs(blobs: Blobs) -> ServedLogs | None:
    """The logs in the place that blobs are written to; None for a place that keeps none."""
    own = blobs.own if isinstance(blobs, Above) else blobs
    return ServedLogs(own) if isinstance(own, LocalBlobs | RemoteBlobs) else None
