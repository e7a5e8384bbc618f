"""Plan what is stale and why: compare the current manifests with what would be made now. Pure: everything is an argument.

State-based: it looks at content and declarations, never at when something ran.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ml_assets.core.lineage.partition_numbers import ordinal
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.reads import Read, Span, labelled_stage
from ml_assets.core.lineage.reopenings import reopening_asset
from ml_assets.core.lineage.situation import Asset, Cause, CurrentManifest, Definition, Item, Situation
from ml_assets.core.lineage.stages import STAGES, declared_reads
from ml_assets.spec.product import Product

__all__ = ["PATH", "Asset", "Cause", "CurrentManifest", "Definition", "Item", "Planner", "Situation"]

READ_RELEASE = ("evaluation", "report", "monitoring", "predictions", "realised")
PATH = tuple(name for name, stage in STAGES.items() if stage.reads)
"""The stages behind what is delivered, each after those that it reads."""


@dataclass
class Planner:
    """Goes down the path stage by stage; what is stale upstream makes stale what read it, with the same root cause.

    `makes_missing`: whether what was never made would be; otherwise it is left aside, and what reads it reads the others.
    """

    product: Product
    situation: Situation
    makes_missing: bool = True
    items: dict[Asset, Item] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index the current snapshots by stage and partition."""
        self._known: dict[str, dict[str, tuple[Asset, str]]] = {}
        for asset, current in self.situation.current.items():
            self._known.setdefault(asset[0], {})[asset[1]] = (asset, current.data_version)

    def plan(self, until: str = PATH[-1]) -> list[Item]:
        """Everything that would run, in path order, up to a stage."""
        if self.product.delivery.reference:
            self._consider("reference", "", self._read_now("reference", "", self.situation.reference))
        for key in self._keys:
            self._consider("raw", key, self._read_now("raw", key, self.situation.delivered.get(key)))
        for stage in PATH[: PATH.index(until) + 1]:
            for key in self._keys:
                self._consider(stage, key, self._inputs(stage, key))
        return list(self.items.values())

    def _read_now(self, stage: str, key: str, delivered: Mapping[str, str] | None) -> dict[Asset, str] | None:
        """The delivered files; where there are none, those that were read before, whose bytes the store keeps."""
        if delivered:
            return self._landing_inputs(delivered, key)
        current = self.situation.current.get((stage, key))
        return dict(current.inputs) if current else None

    @cached_property
    def _keys(self) -> list[str]:
        known = {key for stage, key in self.situation.current if stage == "raw"}
        return sorted((known | set(self.situation.delivered)) - set(self.situation.recalled))

    @cached_property
    def _ordinals(self) -> dict[str, int]:
        """The number of each known partition, in order."""
        calendar = partitions_of(self.product)
        return {key: ordinal(calendar, key) for key in self._keys}

    @cached_property
    def _numbers(self) -> list[int]:
        return list(self._ordinals.values())

    def _landing_inputs(self, digests: Mapping[str, str], partition: str) -> dict[Asset, str]:
        return {(f"landing/{self.product.name}/{table}", partition): digest for table, digest in digests.items()}

    def _inputs(self, stage: str, key: str) -> dict[Asset, str | None] | None:
        """The inputs that the stage would read now, None per asset whose content is not known yet; None where it would not
        run."""
        releases: dict[Asset, str | None] = {}
        if not STAGES[stage].is_declared(self.product):
            return None
        match stage:
            case "outcomes" | "features":
                releases = dict(self._outcomes_now(key) if stage == "outcomes" else self._decided(key))
            case "model" if self._is_without_window(key) or self._cannot_train(key):
                return None
            case "evaluation" if not self._is_known("model", key):
                return None
            case "realised" if not (self._is_known("predictions", key) or self._is_known(stage, key)):
                return None  # nothing served it, as far as a plan looks: the log is read when the job runs
            case "report" | "release" | "tracking" if not self._is_known("evaluation", key):
                return None
            case "evaluation" | "realised":
                releases = dict(self._recorded_releases(stage, key))
            case "release" if key not in self.situation.accepted or ("evaluation", key) in self.items:
                return None
            case "tracking" if self._has_release(key):
                releases = self._versions("release", [key])
            case "monitoring" | "predictions":
                recorded = self._recorded_releases(stage, key)
                if not recorded or self.situation.recalled_releases.intersection(recorded.values()):
                    bundle = self.situation.answered.get(key)
                    recorded = {("release", bundle): bundle} if bundle else {}
                if not recorded:
                    return None
                releases = dict(recorded)
        declared = self._declared(stage, key)
        return None if declared is None else declared | releases

    def _outcomes_now(self, key: str) -> dict[Asset, str]:
        """The files of outcomes in the landing folder; where there are none, those that were read before."""
        if files := self.situation.outcomes.get(key):
            return {(name, key): digest for name, digest in files.items()}
        current = self.situation.current.get(("outcomes", key))
        return {a: version for a, version in current.inputs.items() if a[0].startswith("landing/")} if current else {}

    def _decided(self, key: str) -> dict[Asset, str]:
        """A person's decision to test a delivery on the last fold again."""
        entry = self.situation.reopened.get(key)
        return {(reopening_asset(self.product.name), key): entry} if entry else {}

    def _recorded_releases(self, stage: str, key: str) -> dict[Asset, str]:
        """The releases that this was compared with, or scored by. They are facts of the time when it was made: a promotion or a
        rollback since then makes nothing stale."""
        current = self.situation.current.get((stage, key))
        return {a: version for a, version in _generic(current.inputs).items() if a[0] == "release"} if current else {}

    def _declared(self, stage: str, key: str) -> dict[Asset, str | None] | None:
        """The inputs that core.lineage.stages declares for the stage, as far as they are known; None where they are too few."""
        versions: dict[Asset, str | None] = {}
        for read, (first, last) in self._declared_reads[stage]:
            if not read.is_read(self.product, key):
                continue
            there = self._before(key, -first, -last) if STAGES[read.stage].is_partitioned else [""]
            if not self.makes_missing:
                there = [partition for partition in there if self._is_known(read.stage, partition)]
            keys = read.taken(self.product, there)
            if len(keys) < read.at_least(self.product):
                return None
            versions |= self._versions(read.stage, keys)
        return versions

    @cached_property
    def _declared_reads(self) -> dict[str, list[tuple[Read, Span]]]:
        return {stage: [(read, read.span(self.product)) for read in declared_reads(self.product, stage)] for stage in STAGES}

    def _is_without_window(self, key: str) -> bool:
        """Whether a delivery of a static table opens no fold, as far as its features are as they were."""
        return key in self.situation.foldless and ("features", key) not in self.items

    def _cannot_train(self, key: str) -> bool:
        """Whether outcomes are not complete yet, or a candidate was refused that would be made now from the same."""
        if key in self.situation.immature and ("model", key) not in self.situation.current:
            return True
        refused = self.situation.untrained.get(key)
        if refused is None or refused.definition != self.situation.definitions["model"]:
            return False
        tested = self._before(key, self.product.window.test - 1, 0)
        return refused.inputs == {**(self._declared("model", key) or {}), **self._versions(labelled_stage(self.product), tested)}

    def _is_known(self, stage: str, key: str) -> bool:
        """Whether there is one, or will be."""
        return (stage, key) in self.situation.current or (stage, key) in self.items

    def _has_release(self, key: str) -> bool:
        """Whether a release was made of the evaluation that is current, or will be made again."""
        release, evaluation = (self.situation.current.get((stage, key)) for stage in ("release", "evaluation"))
        if release is None or evaluation is None:
            return ("release", key) in self.items
        return release.inputs.get(("evaluation", key)) == evaluation.data_version

    def _before(self, key: str, first: int, last: int) -> Sequence[str]:
        """The known partitions from `first` to `last` partitions before `key`, both included."""
        at = self._ordinals[key]
        return self._keys[bisect_left(self._numbers, at - first) : bisect_right(self._numbers, at - last)]

    def _versions(self, stage: str, keys: Sequence[str]) -> dict[Asset, str | None]:
        known = self._known.get(stage, {})
        try:
            return dict([known[key] for key in keys])
        except KeyError:
            return {(stage, key): known[key][1] if key in known else None for key in keys}

    def _find(self, item: Item) -> None:
        """The content of what would be made again is not known yet."""
        self.items[item.stage, item.partition] = item
        self._known.get(item.stage, {}).pop(item.partition, None)

    def _consider(self, stage: str, key: str, inputs: Mapping[Asset, str | None] | None) -> None:
        asset = (stage, key)
        current = self.situation.current.get(asset)
        if inputs is None:
            if current is not None and (spoiled := tuple(self._spoiled(asset, current))):
                self._find(Item(stage, key, "stale", spoiled))
            return
        if current is None and not self.makes_missing:
            return
        if current is None:
            self._find(Item(stage, key, "missing", self._why_missing(asset, inputs)))
            return
        recorded = _generic(current.inputs) if stage in READ_RELEASE else current.inputs
        if current.is_there and recorded == inputs and current.definition == self.situation.definitions[stage]:
            return  # the usual case, quickly: nothing of what follows finds a cause
        causes = dict.fromkeys([*self._own(asset, current), *self._changed(key, recorded, inputs)])
        if causes:
            self._find(Item(stage, key, "stale", tuple(causes)))

    def _why_missing(self, asset: Asset, inputs: Mapping[Asset, str | None]) -> tuple[Cause, ...]:
        """The delivery that has not been taken down the path yet; without one, that the asset was never made."""
        delivered = tuple(self._input_cause(read, asset[1]) for read in inputs if read[0].startswith("landing/"))
        raw = self.items.get(("raw", asset[1]))
        return delivered or self._roots(inputs) or (raw.causes if raw else ()) or (Cause("missing", *asset),)

    def _spoiled(self, asset: Asset, current: CurrentManifest) -> Iterator[Cause]:
        """The faults of something that would not be made now, whatever its inputs."""
        if not current.is_there:
            yield Cause("lost", *asset)
        for _, key in current.inputs:
            if key in self.situation.recalled:
                yield Cause("recalled", "raw", key)

    def _own(self, asset: Asset, current: CurrentManifest) -> Iterator[Cause]:
        now, then = self.situation.definitions[asset[0]], current.definition
        if not current.is_there:
            yield Cause("lost", *asset)
        if now.code != then.code:
            yield Cause("code", asset[0])
        if now.config != then.config:
            yield Cause("config", asset[0])
        if now.environment != then.environment:
            yield Cause("environment", asset[0])

    def _changed(self, key: str, recorded: Mapping[Asset, str], inputs: Mapping[Asset, str | None]) -> Iterator[Cause]:
        yield from self._roots(inputs)
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
        return Cause("release", "release", key) if asset[0] == "release" else Cause("input", *asset)

    def _roots(self, inputs: Mapping[Asset, str | None]) -> tuple[Cause, ...]:
        """The root causes of the inputs that would be made again."""
        upstream = (self.items[asset] for asset in inputs if asset in self.items)
        return tuple(dict.fromkeys(cause for item in upstream for cause in item.causes))


def _generic(inputs: Mapping[Asset, str]) -> Mapping[Asset, str]:
    """A release that is compared with, or served, is read as the one it is, whatever its partition."""
    return {("release", version) if asset[0] == "release" else asset: version for asset, version in inputs.items()}
