"""Rebuilds what a release was made from, with today's code, configuration and libraries, in a scratch lineage.

Each manifest names its inputs by digest: those are used, whichever manifest is current for their partitions now.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ml_assets.builders import dataset, features, model, outcomes, raw, reference
from ml_assets.builders import release as release_builder
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Manifest, Output
from ml_assets.core.lineage.reopenings import reopening_asset
from ml_assets.errors import MlAssetsError
from ml_assets.services.build_snapshots import delivered, kept_files, kept_outcomes
from ml_assets.spec.product import Product
from resources.dbt.build import Dbt
from resources.lineage import Lineage
from resources.store.blobs import BlobDamaged

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from ml_assets.core.model.training import Fitted

STAGES = ("raw", "reference", "dataset", "features", "outcomes", "model")
RUN = "reproduce"


@dataclass(frozen=True)
class Rebuilt:
    """One recorded manifest and what was made for it now; `error` says why nothing was, `is_damaged` that what it is made
    from is missing or changed in the store."""

    recorded: Manifest
    now: Manifest | None = None
    error: str | None = None
    is_damaged: bool = False

    @property
    def is_equal(self) -> bool:
        """Whether the rebuilt data version equals the recorded one; False if nothing was built."""
        return self.now is not None and self.now.data_version == self.recorded.data_version


class Stopped(Exception):
    """Something could not be rebuilt, so nothing after it can be."""


@dataclass
class Rebuilder:
    """`kept` are the stages that are taken as recorded instead of being rebuilt. `tell` hears of each one begun."""

    real: Lineage
    scratch: Lineage
    dbt: Dbt
    product: Product
    kept: frozenset[str] = frozenset()
    tell: Callable[[str, str], None] = lambda stage, partition: None
    done: dict[str, Rebuilt] = field(default_factory=dict)
    fitted: "Fitted | None" = None

    def rebuild_stage_by_stage(self, wanted: Iterable[Manifest]) -> None:
        """Rebuild these and what they were made from, along the path."""
        needed: dict[str, Manifest] = {}
        left = list(wanted)
        while left:
            node = left.pop()
            if node.id not in needed and node.recipe.stage not in self.kept:
                needed[node.id] = node
                left += self.real.inputs(node)
        for node in sorted(needed.values(), key=lambda m: (STAGES.index(m.recipe.stage), m.partition)):
            self.rebuild(node)

    def rebuild(self, recorded: Manifest) -> Manifest:
        """Build what a recorded manifest describes, its inputs first, each once; return its manifest."""
        if recorded.recipe.stage in self.kept:
            return recorded
        if recorded.id not in self.done:
            inputs = [self.rebuild(source) for source in self.real.inputs(recorded)]
            self.tell(recorded.recipe.stage, recorded.partition)
            try:
                manifest = self._make(recorded, inputs)
            except MlAssetsError as error:
                damaged = isinstance(error, BlobDamaged)
                self.done[recorded.id] = Rebuilt(recorded, error=str(error), is_damaged=damaged)
                raise Stopped from error
            self.done[recorded.id] = Rebuilt(recorded, manifest)
        rebuilt = self.done[recorded.id].now
        assert rebuilt is not None
        return rebuilt

    def in_order(self) -> list[Rebuilt]:
        """All that was rebuilt, by stage along the path, then by partition."""
        return sorted(self.done.values(), key=lambda r: (STAGES.index(r.recorded.recipe.stage), r.recorded.partition))

    def _make(self, recorded: Manifest, inputs: list[Manifest]) -> Manifest:
        product, key = self.product, recorded.partition
        handles = [self.scratch.handle(manifest) for manifest in inputs]
        match recorded.recipe.stage:
            case "raw" | "reference":
                return self._read(recorded)
            case "dataset":
                build = lambda: dataset.build(dataset.audited(handles[0], product, key), product, key)  # noqa: E731
            case "features":
                return self._features(recorded, inputs)
            case "outcomes":
                return self._outcomes(recorded, inputs[0])
            case "model":
                build = lambda: self._train(handles)  # noqa: E731
            case stage:
                raise AssertionError(stage)
        return self._publish(recorded, inputs, build)

    def _publish(self, recorded: Manifest, inputs: list[Manifest], build: Callable[[], Output]) -> Manifest:
        given = [replace(source.as_input(), manifest=None) for source in inputs]
        recipe = self.scratch.recipe(self.product, recorded.recipe.stage, recorded.partition, given)
        return self.scratch.make(recipe, build, run=RUN).manifest

    def _read(self, recorded: Manifest) -> Manifest:
        """From the delivered bytes that are kept with the rows; each is held against its digest when it is read."""
        stage, key, lineage = recorded.recipe.stage, recorded.partition, self.scratch
        files = kept_files(self.real.snapshots, recorded)
        build = raw.build if stage == "raw" else reference.build
        recipe = lineage.recipe(self.product, stage, key, delivered(self.product, key, files))
        return lineage.make(recipe, lambda: build(files, self.product, key), run=RUN).manifest

    def _features(self, recorded: Manifest, inputs: list[Manifest]) -> Manifest:
        """From the datasets, and the decisions of people that it was made by."""
        product, key, lineage = self.product, recorded.partition, self.scratch
        decided = [given for given in recorded.recipe.inputs if given.asset == reopening_asset(product.name)]
        given = [*(replace(source.as_input(), manifest=None) for source in inputs), *decided]
        handles = [lineage.handle(manifest) for manifest in inputs]
        build = lambda: features.build(handles, product, key, self.dbt, is_reopened=bool(decided))  # noqa: E731
        return lineage.make(lineage.recipe(product, "features", key, given), build, run=RUN).manifest

    def _outcomes(self, recorded: Manifest, features: Manifest) -> Manifest:
        """From the delivered outcomes that are kept with the rows."""
        product, key, lineage = self.product, recorded.partition, self.scratch
        files = kept_outcomes(self.real.snapshots, recorded)
        given = [source for source in recorded.recipe.inputs if source.asset.startswith("landing/")]
        recipe = lineage.recipe(product, "outcomes", key, [replace(features.as_input(), manifest=None), *given])
        build = lambda: outcomes.build(outcomes.Arrived(lineage.handle(features), files), product, key)  # noqa: E731
        return lineage.make(recipe, build, run=RUN).manifest

    def _train(self, inputs: list[Handle]) -> Output:
        fitted = self.fitted = model.train(inputs, self.product)
        about = json.dumps({"features": list(fitted.features)}).encode()
        return Output({"model.cbm": fitted.content, "model.json": about}, data_version=fitted.fingerprint)


@dataclass(frozen=True)
class ComparedPredictions:
    """Recorded predictions against rebuilt ones: how many, how many differ, and by how much at most."""

    rows: int
    different: int
    largest: float | None
    note: str = ""

    @property
    def is_equal(self) -> bool:
        """Whether no prediction differs."""
        return self.different == 0

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON values; the note is called `told` there."""
        numbers = {"rows": self.rows, "different": self.different, "largest": self.largest}
        return {**numbers, "told": self.note, "equal": self.is_equal}


def compare_golden(builder: Rebuilder, release: Manifest) -> ComparedPredictions:
    """The golden rows of the bundle: requests, which hold known categories alone where it takes no others, and scores."""
    from ml_assets.core.model.known_categories import recorded_known
    from ml_assets.core.release.bundle import golden

    read, made_from = builder.real.snapshots.read, builder.real.made_from(release)
    recorded, known = json.loads(read(release.snapshot, "golden.json")), recorded_known(read(release.snapshot, "request.json"))
    trained = [builder.rebuild(source) for source in builder.real.inputs(made_from["model"])]
    handles = [builder.scratch.handle(manifest) for manifest in trained]
    if release_builder.known(handles, builder.product, list(known)) != known:
        return ComparedPredictions(len(recorded["scores"]), len(recorded["scores"]), None, "other categories were trained on")
    source = builder.rebuild(made_from["features"])
    frames = {n: builder.scratch.snapshots.frame(source.snapshot, f"{n}.parquet") for n in ("features", "requests")}
    now = golden(builder.product, frames["requests"], _scores(builder, frames["features"]), known=known)
    if recorded["requests"] != now["requests"]:
        return ComparedPredictions(len(recorded["scores"]), len(recorded["scores"]), None, "the golden rows are other requests")
    return _compare(recorded["scores"], now["scores"])


def compare_tested(builder: Rebuilder, evaluation: Manifest) -> ComparedPredictions:
    """Every row of the test window that the verdict was about."""
    import polars as pl

    from ml_assets.core.metrics.score_columns import of_columns
    from ml_assets.core.model.split import rows_of, tested_on
    from ml_assets.core.model.training import labelled

    tested = builder.real.tested(evaluation)
    frames = [rows_of(builder.scratch.handle(builder.rebuild(m)), builder.product) for m in tested]
    whole = tested_on(pl.concat(frames), builder.product, partition=evaluation.partition)
    rows = labelled(whole, label=builder.product.features.label)
    scored = builder.real.snapshots.frame(evaluation.snapshot, "scores.parquet")
    if builder.product.keys.across_partitions == "refuse":
        key = list(builder.product.features.key)
        rows = rows.join(scored.select(key), on=key, how="semi", nulls_equal=True, maintain_order="left")
    recorded = of_columns(scored, "candidate", builder.product.features.class_names)
    return _compare(recorded.tolist(), _scores(builder, rows).tolist())


def _scores(builder: Rebuilder, rows: "pl.DataFrame") -> "np.ndarray":
    from ml_assets.core.model.scoring import load_model, score_frame

    assert builder.fitted is not None
    return score_frame(load_model(builder.fitted.content, task=builder.product.task), rows, list(builder.fitted.features))


def _compare(recorded: list[Any], now: list[Any]) -> ComparedPredictions:
    import numpy as np

    if len(recorded) != len(now):
        return ComparedPredictions(len(recorded), len(recorded), None, f"{len(now)} rows, recorded were {len(recorded)}")
    apart = [float(np.abs(np.subtract(a, b)).max()) for a, b in zip(recorded, now, strict=True) if a != b]
    return ComparedPredictions(len(recorded), len(apart), max(apart, default=None))
