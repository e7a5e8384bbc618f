"""Snapshots: immutable sets of named files. Stages hand each other the digest of one."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.core.digests import canonical_json, digest_file, sha256
from ml_assets.errors import MlAssetsError
from resources.store.blobs import Above, BlobDamaged, Blobs
from resources.store.remote_blobs import open_blobs
from resources.store.temp_files import unfinished_folder

if TYPE_CHECKING:
    import polars as pl


class MemberRefused(MlAssetsError):
    """A member's name would lie outside the folder that a snapshot is checked out to."""


@dataclass(frozen=True)
class Snapshot:
    """A digest and the files it names: {member name: SHA-256 of its bytes}."""

    digest: str
    members: Mapping[str, str]


@dataclass(frozen=True)
class Snapshots:
    """The store of snapshots. A snapshot is itself a blob: the canonical JSON of its members."""

    blobs: Blobs
    checkouts: Path

    def write(self, files: Mapping[str, bytes]) -> Snapshot:
        """Store the files, members first, so that a snapshot that can be named is whole."""
        if other := [name for name in files if not _is_plain(name)]:
            raise MemberRefused(f"{other[0]!r} isn't a member name: relative, with '/', without '.' and '..' parts")
        names = sorted(files)
        members = dict(zip(names, self.blobs.put_all([files[name] for name in names]), strict=True))
        return Snapshot(self.blobs.put(canonical_json({"members": members})), members)

    def open(self, digest: str) -> Snapshot:
        """The snapshot of this digest. Raises BlobDamaged when it is missing, changed, or another kind of blob."""
        try:
            members = json.loads(self.blobs.path(digest).read_bytes())["members"]
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise BlobDamaged(f"{digest[:12]} is a file of a snapshot, not a snapshot") from error
        return Snapshot(digest, members)

    def path(self, digest: str, member: str) -> Path:
        """A local file with the member's bytes, verified now."""
        members = self.open(digest).members
        if member not in members:
            raise BlobDamaged(f"snapshot {digest[:12]} has no member {member!r}; it has {', '.join(sorted(members))}")
        return self.blobs.path(members[member])

    def paths(self, digest: str) -> dict[str, Path]:
        """A local file for each member, all verified now; the delivered files that raw keeps are left out."""
        members = {name: member for name, member in self.open(digest).members.items() if not name.startswith("delivered/")}
        return dict(zip(members, self.blobs.paths([*members.values()]), strict=True))

    def read(self, digest: str, member: str) -> bytes:
        """Return the bytes of a member. Raises what `path` raises."""
        return self.path(digest, member).read_bytes()

    def frame(self, digest: str, member: str) -> "pl.DataFrame":
        """A Parquet member as a polars frame."""
        import polars as pl

        return pl.read_parquet(self.path(digest, member), glob=False)

    def columns(self, digest: str, member: str) -> "Mapping[str, pl.DataType]":
        """The columns of a Parquet member, with their types."""
        import polars as pl

        with self.path(digest, member).open("rb") as file:  # of a path polars would expand `[`, `*` and `?`
            return pl.read_parquet_schema(file)

    def is_intact(self, digest: str) -> bool:
        """Whether every file of the snapshot is in the store, unchanged. A remote store gets back what it lost where this
        machine has a verified copy: members first, so that a snapshot that can be named is whole."""
        try:
            members = self.open(digest).members.values()
        except BlobDamaged:
            return False
        return all(self.blobs.keep(needed) for needed in (*members, digest))

    def checkout(self, digest: str) -> Path:
        """A folder that holds the members under their names, copied and verified; made once, replaced when damaged."""
        folder = self.checkouts / digest
        if self.checked_out(digest) is not None:
            return folder
        snapshot = self.open(digest)
        if _holds(folder, snapshot.members):
            return folder
        self.checkouts.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(self.checkouts) as writing:
            whole = self._copy(snapshot, Path(writing) / "whole")
            try:
                if folder.exists() and not _holds(folder, snapshot.members):
                    folder.rename(Path(writing) / "damaged")
                whole.rename(folder)
            except OSError:
                if not _holds(folder, snapshot.members):  # else another process was faster
                    raise
        return folder

    def checked_out(self, digest: str) -> Snapshot | None:
        """The snapshot, if its folder is there and whole, which its digest alone shows: the store need not be asked, and may be
        away."""
        folder = self.checkouts / digest
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
        if not files or any(path.is_symlink() for path in files.values()):
            return None
        members = {name: digest_file(files[name]) for name in sorted(files)}
        return Snapshot(digest, members) if sha256(canonical_json({"members": members})) == digest else None

    def _copy(self, snapshot: Snapshot, folder: Path) -> Path:
        folder.mkdir()
        sources = self.blobs.paths([*snapshot.members.values()])
        for name, source in zip(snapshot.members, sources, strict=True):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        return folder


def open_snapshots(url: str, *, cache: Path, upstream: str = "") -> Snapshots:
    """The snapshots of the store at a URL; copies and checkouts lie in `cache`. What it lacks is read from `upstream`."""
    blobs = open_blobs(url, cache=cache / "blobs")
    return Snapshots(Above(blobs, open_blobs(upstream, cache=cache / "upstream")) if upstream else blobs, cache / "checkouts")


def _is_plain(name: str) -> bool:
    return not {"", ".", ".."} & set(name.split("/"))


def _holds(folder: Path, members: Mapping[str, str]) -> bool:
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    is_plain = files.keys() == members.keys() and not any(path.is_symlink() for path in files.values())
    return folder.is_dir() and is_plain and all(digest_file(files[name]) == digest for name, digest in members.items())
