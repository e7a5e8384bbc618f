"""A snapshot as a builder reads it: what made it, and a verified local file for each of its members."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ml_assets.core.lineage.manifests import Manifest


@dataclass(frozen=True)
class Handle:
    """`members`: paths by member name; each file's bytes were held against their digest when the handle was made."""

    manifest: Manifest
    members: Mapping[str, Path]

    @property
    def partition(self) -> str:
        """The partition of the snapshot; empty for an unpartitioned stage."""
        return self.manifest.recipe.partition

    def read(self, member: str) -> bytes:
        """Return the bytes of a member. Raises KeyError if the snapshot has none of this name."""
        return self.members[member].read_bytes()

    def json(self, member: str) -> Any:
        """Return a member, parsed as JSON."""
        return json.loads(self.read(member))

    def frame(self, member: str) -> pl.DataFrame:
        """A Parquet member, whatever its path has in its name."""
        return pl.read_parquet(self.members[member], glob=False)


@dataclass(frozen=True)
class File:
    """A delivered file, read once: the bytes that are named by digest are those that are parsed."""

    path: Path
    content: bytes
