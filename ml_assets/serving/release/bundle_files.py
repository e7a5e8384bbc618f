"""The files of a release bundle: the allowed names, and the bytes, read once and checked by digest."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_assets.core.digests import sha256
from ml_assets.errors import MlAssetsError

REQUIRED = frozenset({"model.cbm", "bundle.json", "features.sql", "request.json", "golden.json"})
OPTIONAL = frozenset({"rules.json", "profile.json", "manifest.json", "evidence.json", "card.md"})
LOOKUP = re.compile(r"lookups/([A-Za-z_][A-Za-z0-9_]*)\.parquet")


class BundleRefused(MlAssetsError):
    """The bundle may not serve: a member is missing, damaged or unknown, or its scores aren't the recorded ones."""


@dataclass(frozen=True)
class BundleFiles:
    """A bundle in a local folder; `digests` is the SHA-256 of each member as the store recorded it."""

    folder: Path
    digests: Mapping[str, str] | None = None


def read_members(files: BundleFiles) -> dict[str, bytes]:
    """Return each member's bytes by name. Every file is read once, so that the checked bytes are the used ones.

    Raises BundleRefused.
    """
    names = _names(files.folder)
    _refuse_names(names, files)
    members = {name: (files.folder / name).read_bytes() for name in names}
    for name, digest in (files.digests or {}).items():
        if (actual := sha256(members[name])) != digest:
            raise BundleRefused(f"{files.folder}: {name} has digest {actual}, recorded is {digest}: it was damaged")
    return members


def lookup_name(member: str) -> str | None:
    """Return the relation that a lookup member holds, None for other members."""
    match = LOOKUP.fullmatch(member)
    return match.group(1) if match else None


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise BundleRefused(f"{folder}: no such bundle folder")
    paths = sorted(folder.rglob("*"))
    links = [str(path.relative_to(folder)) for path in paths if path.is_symlink()]
    if links:
        raise BundleRefused(f"{folder}: symbolic links are not allowed in a bundle: {links}")
    return [path.relative_to(folder).as_posix() for path in paths if not path.is_dir()]


def _refuse_names(names: list[str], files: BundleFiles) -> None:
    unknown = [name for name in names if name not in REQUIRED | OPTIONAL and not lookup_name(name)]
    if unknown:
        raise BundleRefused(f"{files.folder}: members that no bundle may hold: {unknown}")
    if missing := sorted(REQUIRED.difference(names)):
        raise BundleRefused(f"{files.folder}: missing members: {missing}")
    if files.digests is not None and set(files.digests) != set(names):
        differing = sorted(set(files.digests) ^ set(names))
        raise BundleRefused(f"{files.folder}: members differ from the recorded ones: {differing}")
