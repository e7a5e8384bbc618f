"""The input and the output of a plan, as plain values: the planning is in planning.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Asset = tuple[str, str]
"""(stage, partition); the partition of an unpartitioned asset is ""."""

State = Literal["missing", "stale"]


@dataclass(frozen=True)
class Definition:
    """The digests of all that decides a stage's output apart from its inputs, as declared now."""

    code: str
    config: str
    environment: str


class CurrentManifest(NamedTuple):
    """The current manifest of an asset. `inputs`: data versions by (stage or landing table, partition)."""

    definition: Definition
    data_version: str
    inputs: Mapping[Asset, str]
    is_there: bool = True


@dataclass(frozen=True)
class Cause:
    """A reason why something is stale. `kind` is one word for machines, `stage` and `partition` say where it began."""

    kind: Literal["code", "config", "environment", "delivered", "missing", "lost", "release", "recalled", "input"]
    stage: str
    partition: str = ""


@dataclass(frozen=True)
class Item:
    """One asset's partition that would be made again (or for the first time), with every root cause."""

    stage: str
    partition: str
    state: State
    causes: tuple[Cause, ...]


@dataclass(frozen=True)
class Situation:
    """All that a plan looks at.

    `delivered`: digests of landing files by table, per partition; `reference` the same for reference tables, `outcomes` those of
    files of outcomes, by what lineage calls them. `immature`: partitions whose outcomes are not complete yet. `foldless`:
    deliveries of a static table whose current features open no fold; `reopened`: people's decisions to test on the last one
    again.
    `untrained`: candidates that could not be trained, by partition, with what they would have been made from: the features of
    their training and test windows. `accepted`: partitions whose current evaluation is an ACCEPT; `answered`: bundle that served
    before a partition; `recalled`: partitions with the reason; `recalled_releases`: bundles that were recalled or made from what
    was.
    """

    current: Mapping[Asset, CurrentManifest]
    definitions: Mapping[str, Definition]
    delivered: Mapping[str, Mapping[str, str]]
    reference: Mapping[str, str]
    outcomes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    immature: frozenset[str] = frozenset()
    answered: Mapping[str, str | None] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()
    recalled: Mapping[str, str] = field(default_factory=dict)
    recalled_releases: frozenset[str] = frozenset()
    untrained: Mapping[str, CurrentManifest] = field(default_factory=dict)
    foldless: frozenset[str] = frozenset()
    reopened: Mapping[str, str] = field(default_factory=dict)
