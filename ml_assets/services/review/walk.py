"""A walk: what this process's code and a product's declaration make of past windows, from delivered bytes to scores.

It works in a home of its own above one that is only read, so nothing there becomes current, is charged, or is promoted.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ml_assets.builders import dataset, features, model, outcomes, raw, reference
from ml_assets.builders.outcomes import Arrived
from ml_assets.core.changes.head_against_base import SideRows
from ml_assets.core.changes.walk_protocol import BASELINE, SCORE, WINDOW, Check, Walked, WalkWindow
from ml_assets.core.contract.breaches import ContractBreached
from ml_assets.core.lineage.facts import ModelFacts, QuarantineFacts
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Manifest, Output
from ml_assets.core.lineage.planning import Asset
from ml_assets.core.lineage.reads import labelled_stage, partitions_before
from ml_assets.core.lineage.stages import reads, test_keys
from ml_assets.core.model.training import TrainingRefused
from ml_assets.errors import MlAssetsError
from ml_assets.services.build_snapshots import kept_files, kept_outcomes
from ml_assets.services.proofs.data import prove_all
from ml_assets.spec.product import Product
from resources.dbt.build import Dbt
from resources.ledger import recalls
from resources.ledger.ledger import Ledger
from resources.lineage import Build, Lineage
from resources.stopwatch import Stopwatch

if TYPE_CHECKING:
    import polars as pl

RUN = "walk"
RECENT = 3
"""Newest partitions that the contract is tried on in addition to those of the windows."""
Say = Callable[[str], None]


class NothingDelivered(MlAssetsError):
    """The home that is read has no data of a window."""


@dataclass
class Walker:
    """`lineage` is where results go; `source` is the ledger that says what was delivered."""

    lineage: Lineage
    source: Ledger
    dbt: Dbt
    product: Product
    say: Say = lambda _: None
    done: dict[Asset, Build] = field(default_factory=dict)
    breaches: dict[str, MlAssetsError] = field(default_factory=dict)

    def snapshot(self, stage: str, key: str) -> Manifest:
        """The snapshot of a stage's partition, with all that it reads made first; each once. Raises what its builder raises."""
        asset = (stage, key)
        if asset not in self.done:
            if stage == "dataset" and key in self.breaches:
                raise self.breaches[key]
            try:
                self.done[asset] = self._make(stage, key)
            except ContractBreached as error:
                self.breaches.setdefault(key, error)
                raise
        return self.done[asset].manifest

    def inputs(self, stage: str, key: str) -> list[Manifest]:
        """The inputs of the stage: of those that are not required, the partitions that were delivered and can be built."""
        declared = reads(self.product, stage, key, self._can_be_read)
        return [self.snapshot(*asset) for asset in (*declared.available, *declared.required)]

    def newest(self) -> list[str]:
        """The newest delivered partitions: a contract is tried on them too, and nothing of them is scored."""
        known = self.source.partitions(self.product.name, "raw")
        delivered = [key for key in known if self._delivered("raw", key) is not None][-RECENT:]
        for key in delivered:
            try:
                self.snapshot("dataset", key)
            except MlAssetsError as error:  # a check says so
                self.breaches.setdefault(key, error)
        return delivered

    def handle(self, manifest: Manifest) -> Handle:
        """Return the checked files of a snapshot."""
        return self.lineage.handle(manifest)

    def _can_be_read(self, asset: Asset) -> bool:
        stage, key = asset
        if self._delivered("raw", key) is None:
            return False
        try:
            self.snapshot(stage, key)
        except ContractBreached:
            return False
        return True

    def _delivered(self, stage: str, key: str) -> Manifest | None:
        manifest = self.source.current(self.product.name, stage, key)
        return None if manifest is None or manifest.id in self._recalled else manifest

    @cached_property
    def _recalled(self) -> frozenset[str]:
        return frozenset(recalls.derived(self.source, self.product.name))

    def _make(self, stage: str, key: str) -> Build:
        if stage in ("raw", "reference"):
            return self._read(stage, key)
        inputs = self.inputs(stage, key)
        if stage == "outcomes":
            return self._outcomes(key, inputs[0])
        if not inputs:
            raise NothingDelivered(f"{self.product.name}: {stage} {key}: fewer partitions than window.minimum can be trained on")
        recipe = self.lineage.recipe(self.product, stage, key, [manifest.as_input() for manifest in inputs])
        result = self.lineage.make(recipe, lambda: self._built(stage, key, [*map(self.handle, inputs)]), run=RUN)
        if not result.reused:
            self.say(f"made {stage} {key}")
        return result

    def _read(self, stage: str, key: str) -> Build:
        recorded = self._delivered(stage, key)
        if recorded is None:
            what = f"{self.product.name}: {stage} {key}".rstrip()
            raise NothingDelivered(f"{what}: nothing was delivered to the home that is read")
        recipe = self.lineage.recipe(self.product, stage, key, recorded.recipe.inputs)
        build = raw.build if stage == "raw" else reference.build
        return self.lineage.make(recipe, lambda: build(kept_files(self.lineage.snapshots, recorded), self.product, key), run=RUN)

    def _outcomes(self, key: str, features: Manifest) -> Build:
        """The outcomes that the home that is read had, on the features of this side."""
        recorded = self.source.current(self.product.name, "outcomes", key)
        files = kept_outcomes(self.lineage.snapshots, recorded) if recorded else {}
        given = [source for source in recorded.recipe.inputs if source.asset.startswith("landing/")] if recorded else []
        recipe = self.lineage.recipe(self.product, "outcomes", key, [features.as_input(), *given])
        return self.lineage.make(
            recipe, lambda: outcomes.build(Arrived(self.handle(features), files), self.product, key), run=RUN
        )

    def _built(self, stage: str, key: str, handles: Sequence[Handle]) -> Output:
        match stage:
            case "dataset":
                return dataset.build(dataset.audited(handles[0], self.product, key), self.product, key)
            case "quarantine":
                return dataset.build_quarantine(dataset.audited(handles[0], self.product, key), self.product, key)
            case "features":
                return features.build(handles, self.product, key, self.dbt)
            case "model":
                return self._fitted(key, handles)
        raise AssertionError(stage)

    def _fitted(self, key: str, handles: Sequence[Handle]) -> Output:
        from catboost import CatBoostError

        try:
            return model.build(handles, self.product, key)
        except (CatBoostError, TypeError) as error:  # a parameter that it does not have, or not in this combination
            if isinstance(error, TypeError) and "unexpected keyword argument" not in str(error):
                raise
            raise TrainingRefused(f"{self.product.name}: model {key}: CatBoost: {str(error).splitlines()[0]}") from error


def walk(walker: Walker, partitions: Sequence[str]) -> SideRows:
    """Train and score each window that ends with one of these partitions, and check the data of the windows and of the newest
    partitions. A window whose data break the contract is left out, and a check says so. Raises what keeps every window from being
    built."""
    import polars as pl

    from ml_assets.core.model.training import labelled

    clock = Stopwatch()
    walked: list[tuple[WalkWindow, pl.DataFrame, pl.DataFrame]] = []
    expected: dict[str, dict[str, None]] = {}
    for key in partitions:
        walker.say(f"window {key}")
        try:
            window, rows, scored, levels = _window(walker, key)
        except ContractBreached:
            continue
        walked.append((window, rows, scored))
        for column, names in levels.items():
            expected.setdefault(column, {}).update(dict.fromkeys(names))
    if not walked:
        raise next(iter(walker.breaches.values()))
    keys = {key for partition in partitions for key in test_keys(walker.product, partition)} | {*walker.newest()}
    rows = pl.concat([rows for _, rows, _ in walked])
    if labelled(rows, label=walker.product.features.label).is_empty():
        raise NothingDelivered(f"{walker.product.name}: no row of {', '.join(partitions)} has a known label")
    checks = [*_breaches(walker), *_checks(walker, keys)]
    snapshots = walker.done.values()
    summary = Walked(
        product=walker.product.name,
        windows=tuple(window for window, _, _ in walked),
        expected={column: tuple(names) for column, names in expected.items()},
        checks=tuple(checks),
        refused=_refused(walker, keys),
        built=sum(not snapshot.reused for snapshot in snapshots),
        reused=sum(snapshot.reused for snapshot in snapshots),
        seconds=clock.seconds()["cpu"],
    )
    columns = pl.concat([scored for _, _, scored in walked])
    return SideRows(summary, rows, columns[WINDOW], columns[SCORE], columns[BASELINE] if BASELINE in columns.columns else None)


def _window(walker: Walker, key: str) -> "tuple[WalkWindow, pl.DataFrame, pl.DataFrame, dict[str, list[str]]]":
    """A window with its rows, their scores by the protocol's names, and the levels that it should hold."""
    import polars as pl

    from ml_assets.builders.evaluation import candidate_scores, simple_scores, trained_rows, window_rows
    from ml_assets.core.evaluation.seen_data import tested_names, trained_names
    from ml_assets.core.evaluation.snapshot import levels_of, refuse_seen_rows
    from ml_assets.core.model.training import labelled

    product = walker.product
    tested = [walker.snapshot(labelled_stage(product), key) for key in test_keys(product, key)]
    fitted = walker.snapshot("model", key)
    facts = ModelFacts.of(fitted)
    trained, seen = facts.train, {"candidate": trained_names(product, facts, role="candidate")}
    refuse_seen_rows(product, tested=tested_names(product, [manifest.partition for manifest in tested]), trained=seen)
    before = [walker.handle(walker.snapshot(labelled_stage(product), key)) for key in trained[-partitions_before(product) :]]
    rows = window_rows([*map(walker.handle, tested)], before, product)
    scores = {SCORE: candidate_scores(walker.handle(fitted), rows, product), **simple_scores(before, rows, product)}
    scored = pl.DataFrame({WINDOW: pl.Series([key] * rows.height, dtype=pl.String), **scores})
    known = labelled(trained_rows(before[-product.window.test :], product), label=product.features.label)
    levels = {} if known.is_empty() else levels_of(known, product=product)
    window = WalkWindow(
        partition=key, tested=tuple(manifest.partition for manifest in tested), trained=trained, model=fitted.data_version
    )
    return window, rows, scored, levels


def _breaches(walker: Walker) -> Iterator[Check]:
    """The partitions whose delivery breaks the contract as a whole, and the newest ones that cannot be built at all."""
    for key, error in sorted(walker.breaches.items()):
        yield Check(stage="dataset", partition=key, description=str(error))


def _checks(walker: Walker, keys: Collection[str]) -> Iterator[Check]:
    """The results of the checks of dataset and features in these partitions."""
    for asset, snapshot in sorted(walker.done.items()):
        stage, key = asset
        if stage in ("dataset", "features") and key in keys:
            if stage == "dataset":
                walker.snapshot("quarantine", key)
            for finding, _ in prove_all(walker.lineage, walker.dbt, walker.product, snapshot.manifest, run=RUN):
                yield Check(
                    stage=stage,
                    partition=key,
                    claim=finding.claim,
                    passed=finding.passed,
                    severity=finding.severity,
                    description=finding.description,
                )


def _refused(walker: Walker, keys: Collection[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (stage, key), snapshot in walker.done.items():
        if stage == "quarantine" and key in keys:
            for table, rows in QuarantineFacts.of(snapshot.manifest).rows.items():
                counts[table] = counts.get(table, 0) + rows
    return counts
