"""Recipes (what will make a snapshot) and manifests (what made one).

A recipe's key is what memoization looks up; a manifest's id names the recipe, its inputs' manifests and
the output, so manifests form a Merkle graph from the delivered bytes to the endpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from ml_assets.core.digests import digest_json


@dataclass(frozen=True)
class Input:
    """One thing that a stage read: `asset` is "product/stage" or "landing/product/table"."""

    asset: str
    partition: str
    data_version: str
    manifest: str | None = None


@dataclass(frozen=True)
class Recipe:
    """Everything that decides an output. Digests are hexadecimal SHA-256; `partition` is "" when there is none."""

    product: str
    stage: str
    partition: str
    code: str
    config: str
    environment: str
    seed: int | None = None
    threads: int | None = None
    inputs: tuple[Input, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def key(self) -> str:
        """Digest over all that decides the output; inputs count by content, not by which run made them."""
        deciding = {name: value for name, value in _values(self).items() if name not in ("inputs", "details")}
        deciding["inputs"] = sorted([i.asset, i.partition, i.data_version] for i in self.inputs)
        return digest_json(deciding)


@dataclass(frozen=True)
class Output:
    """The output of a stage: files for one snapshot, a canonical data version where the bytes are not it, and facts."""

    files: Mapping[str, bytes]
    facts: Mapping[str, Any] = field(default_factory=dict)
    data_version: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The record of one snapshot: the recipe that made it, and its content. `facts` are small JSON values worth listing without
    opening it (rows, metrics), as they were recorded; core.lineage.facts reads them."""

    recipe: Recipe
    snapshot: str
    data_version: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical JSON of the whole manifest."""
        return digest_json(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON values, as the ledger stores it."""
        recipe = _values(self.recipe)
        recipe["inputs"] = [_values(source) for source in self.recipe.inputs]
        return _values(self) | {"recipe": recipe}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], *, entry: int | None = None) -> "Manifest":
        """The manifest of its JSON; `entry` is the number of the ledger entry that it was read from."""
        recipe = dict(value["recipe"])
        recipe["inputs"] = tuple(Input(**i) for i in recipe["inputs"])
        manifest = cls(Recipe(**recipe), value["snapshot"], value["data_version"], value["facts"])
        vars(manifest)["entry"] = entry
        return manifest

    @cached_property
    def entry(self) -> int | None:
        """The number of its ledger entry; None where it was not read from a ledger."""
        return None

    @property
    def asset(self) -> str:
        """The asset that this is a snapshot of, as `product/stage`."""
        return f"{self.recipe.product}/{self.recipe.stage}"

    @property
    def partition(self) -> str:
        """The partition of the snapshot; empty for an unpartitioned stage."""
        return self.recipe.partition

    def as_input(self) -> Input:
        """The manifest as an input of the next one."""
        return Input(self.asset, self.partition, self.data_version, self.id)


def _values(record: Input | Recipe | Manifest) -> dict[str, Any]:
    """The fields of a record without what they hold being copied, which `dataclasses.asdict` does at a price."""
    return {part.name: getattr(record, part.name) for part in fields(record)}
