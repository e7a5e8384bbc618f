"""What is stale and why: a comparison of what stands with what would be made now. Pure: everything is given.

State-based: it looks at content and declarations, never at when something ran.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ml_assets.core.partitions import partitions_of
from ml_assets.core.promotion import Move, stack
from ml_assets.product import Product

Asset = tuple[str, str]
"""(stage, partition); the partition of an unpartitioned asset is ""."""

State = Literal["missing", "stale"]


@dataclass(frozen=True)
class Definition:
    """The digests of what decides a stage's output beside its inputs, as declared now."""

    code: str
    config: str
    environment: str


@dataclass(frozen=True)
class Standing:
    """The manifest that stands for an asset now. `inputs`: data versions by (stage or landing table, partition)."""

    id: str
    definition: Definition
    data_version: str
    inputs: Mapping[Asset, str]
    is_there: bool = True


@dataclass(frozen=True)
class Cause:
    """Why something is stale. `kind` is one word for machines, `stage` and `partition` say where it began."""

    kind: Literal["code", "config", "environment", "delivered", "missing", "lost", "champion", "recalled", "input"]
    stage: str
    partition: str = ""
    told: str = ""


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

    `delivered`: digests of landing files by table, per partition; `reference` the same for reference tables.
    `champions`, `anchors`: for an evaluation's partition, the bundles that it should have been compared with (None: nobody).
    `accepted`: partitions whose standing evaluation is an ACCEPT; `answered`: bundle that answered before a partition.
    """

    standing: Mapping[Asset, Standing]
    definitions: Mapping[str, Definition]
    delivered: Mapping[str, Mapping[str, str]]
    reference: Mapping[str, str]
    champions: Mapping[str, str | None] = field(default_factory=dict)
    anchors: Mapping[str, str | None] = field(default_factory=dict)
    answered: Mapping[str, str | None] = field(default_factory=dict)
    accepted: frozenset[str] = frozenset()
    recalled: Mapping[str, str] = field(default_factory=dict)


def champions(
    moves: Sequence[Move],
    evaluations: Mapping[str, str],
    evaluation_of: Mapping[str, str],
    recalled: Collection[str] = (),
    *,
    is_anchor: bool = False,
) -> dict[str, str | None]:
    """For each evaluated partition the bundle to compare with: the last moved to (and not rolled back) as of it or
    earlier, passing over what came out of this very evaluation. With `is_anchor` only what was proven counts.

    `evaluations`: data version by partition; `evaluation_of`: that of the evaluation that a bundle was made from;
    `recalled`: bundles that are champions no more.
    """
    counting = (move for move in stack(moves) if move.bundle not in recalled and (move.is_proven or not is_anchor))
    standing = list(enumerate(counting))
    before = _last_before(standing, list(evaluations))
    own: dict[str, list[tuple[int, Move]]] = {}
    for number, move in standing:
        own.setdefault(move.as_of, []).append((number, move))
    found: dict[str, str | None] = {}
    for key, evaluation in evaluations.items():
        same = [each for each in own.get(key, []) if evaluation_of.get(each[1].bundle) != evaluation]
        latest = max(filter(None, [before[key], same[-1] if same else None]), default=None, key=lambda each: each[0])
        found[key] = latest[1].bundle if latest else None
    return found


def answered(moves: Sequence[Move], keys: Sequence[str]) -> dict[str, str | None]:
    """For each partition the bundle that production last moved to, of those as of an earlier partition."""
    last = _last_before(list(enumerate(moves)), keys)
    return {key: each[1].bundle if each else None for key, each in last.items()}


def _last_before(moves: Sequence[tuple[int, Move]], keys: Sequence[str]) -> dict[str, tuple[int, Move] | None]:
    """For each key the latest move as of an earlier partition; one walk over both."""
    ordered = sorted(moves, key=lambda each: each[1].as_of)
    found: dict[str, tuple[int, Move] | None] = {}
    last: tuple[int, Move] | None = None
    position = 0
    for key in sorted(keys):
        while position < len(ordered) and ordered[position][1].as_of < key:
            if last is None or ordered[position][0] > last[0]:
                last = ordered[position]
            position += 1
        found[key] = last
    return found


@dataclass
class Planner:
    """Goes down the path stage by stage; what is stale upstream makes stale what read it, with the same root cause."""

    product: Product
    situation: Situation
    found: dict[Asset, Item] = field(default_factory=dict)

    def plan(self) -> list[Item]:
        """Everything that would run, in path order."""
        if self.product.delivery.reference and self.situation.reference:
            self._consider("reference", "", self._landing_inputs(self.situation.reference, ""))
        for key in self._keys:
            delivered = self.situation.delivered.get(key)
            self._consider("raw", key, self._landing_inputs(delivered, key) if delivered else None)
        for stage in ("dataset", "quarantine", "features", "model", "evaluation", "release", "monitoring"):
            for key in self._keys:
                self._consider(stage, key, self._inputs(stage, key))
        return list(self.found.values())

    @cached_property
    def _keys(self) -> list[str]:
        known = {key for stage, key in self.situation.standing if stage == "raw"}
        return sorted((known | set(self.situation.delivered)) - set(self.situation.recalled))

    @cached_property
    def _ordinals(self) -> dict[str, int]:
        """The number of each known partition, in order."""
        calendar = partitions_of(self.product)
        return {key: calendar.ordinal(key) for key in self._keys}

    @cached_property
    def _numbers(self) -> list[int]:
        return list(self._ordinals.values())

    def _landing_inputs(self, digests: Mapping[str, str], partition: str) -> dict[Asset, str]:
        return {(f"landing/{self.product.name}/{table}", partition): digest for table, digest in digests.items()}

    def _inputs(self, stage: str, key: str) -> dict[Asset, str | None] | None:
        """What the stage would read now, None per asset whose content is not known yet; None where it would not run."""
        match stage:
            case "dataset" | "quarantine":
                return self._versions([("raw", key)])
            case "features":
                reference = [("reference", "")] if self.product.delivery.reference else []
                return self._versions([("dataset", k) for k in self._before(key, self.product.features.lookback, 0)] + reference)
            case "model":
                window = self.product.window
                read = self._before(key, window.train + window.test - 1, window.test)
                return self._versions([("features", k) for k in read]) if len(read) >= window.minimum else None
            case "evaluation":
                return self._evaluation_inputs(key)
            case "release":
                is_due = key in self.situation.accepted and ("evaluation", key) not in self.found
                return self._versions([(s, key) for s in ("model", "evaluation", "features")]) if is_due else None
            case "monitoring":
                bundle = self.situation.answered.get(key)
                return {**self._versions([("features", key)]), ("release", bundle): bundle} if bundle else None
        return None

    def _evaluation_inputs(self, key: str) -> dict[Asset, str | None] | None:
        if ("model", key) not in self.situation.standing and ("model", key) not in self.found:
            return None
        tested = self._before(key, self.product.window.test - 1, 0)
        versions = self._versions([("model", key), *(("features", k) for k in tested)])
        champion = self.situation.champions.get(key)
        compared = {champion, self.situation.anchors.get(key) or champion} - {None}
        return versions | {("release", str(bundle)): bundle for bundle in compared}

    def _before(self, key: str, first: int, last: int) -> Sequence[str]:
        """The known partitions from `first` to `last` partitions before `key`, both included."""
        at = self._ordinals[key]
        return self._keys[bisect_left(self._numbers, at - first) : bisect_right(self._numbers, at - last)]

    def _versions(self, assets: Sequence[Asset]) -> dict[Asset, str | None]:
        standing, found = self.situation.standing, self.found
        return {a: None if a in found or a not in standing else standing[a].data_version for a in assets}

    def _consider(self, stage: str, key: str, inputs: Mapping[Asset, str | None] | None) -> None:
        asset = (stage, key)
        standing = self.situation.standing.get(asset)
        if inputs is None:
            if standing is not None and (spoiled := tuple(self._spoiled(asset, standing))):
                self.found[asset] = Item(stage, key, "stale", spoiled)
            return
        if standing is None:
            self.found[asset] = Item(stage, key, "missing", self._why_missing(asset, inputs))
            return
        causes = dict.fromkeys([*self._own(asset, standing), *self._changed(stage, key, standing, inputs)])
        if causes:
            self.found[asset] = Item(stage, key, "stale", tuple(causes))

    def _why_missing(self, asset: Asset, inputs: Mapping[Asset, str | None]) -> tuple[Cause, ...]:
        """What came in and was not taken down the path yet; where nothing did, that it was never made."""
        delivered = tuple(self._input_cause(read, asset[1]) for read in inputs if read[0].startswith("landing/"))
        raw = self.found.get(("raw", asset[1]))
        return delivered or self._roots(inputs) or (raw.causes if raw else ()) or (Cause("missing", *asset),)

    def _spoiled(self, asset: Asset, standing: Standing) -> Iterator[Cause]:
        """What is wrong with something that would not be made now, whatever it would be made from."""
        if not standing.is_there:
            yield Cause("lost", *asset)
        for _, key in standing.inputs:
            if key in self.situation.recalled:
                yield Cause("recalled", "raw", key)

    def _own(self, asset: Asset, standing: Standing) -> Iterator[Cause]:
        now, then = self.situation.definitions[asset[0]], standing.definition
        if not standing.is_there:
            yield Cause("lost", *asset)
        if now.code != then.code:
            yield Cause("code", asset[0])
        if now.config != then.config:
            yield Cause("config", asset[0])
        if now.environment != then.environment:
            yield Cause("environment", asset[0])

    def _changed(self, stage: str, key: str, standing: Standing, inputs: Mapping[Asset, str | None]) -> Iterator[Cause]:
        yield from self._roots(inputs)
        recorded = {_generic(asset, version): version for asset, version in standing.inputs.items()}
        for asset, version in inputs.items():
            if version is not None and recorded.get(asset) != version:
                yield self._input_cause(asset, key)
        for asset in recorded.keys() - inputs.keys():
            yield self._input_cause(asset, key)

    def _input_cause(self, asset: Asset, key: str) -> Cause:
        if asset[1] in self.situation.recalled:
            return Cause("recalled", "raw", asset[1])
        if asset[0].startswith("landing/"):
            return Cause("delivered", asset[0].rsplit("/", 1)[-1], asset[1])
        return Cause("champion", "release", key) if asset[0] == "release" else Cause("input", *asset)

    def _roots(self, inputs: Mapping[Asset, str | None]) -> tuple[Cause, ...]:
        """The root causes of the inputs that would be made again."""
        upstream = (self.found[asset] for asset in inputs if asset in self.found)
        return tuple(dict.fromkeys(cause for item in upstream for cause in item.causes))


def _generic(asset: Asset, version: str) -> Asset:
    """A release that is compared with, or answered, is read as the one it is, whatever its partition."""
    return ("release", version) if asset[0] == "release" else asset
