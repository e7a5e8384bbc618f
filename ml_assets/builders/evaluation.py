"""evaluation: candidate, champion and anchor on the same unseen rows, each on its own features; measured and judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ml_assets.core.evaluation.coverage import lacking
from ml_assets.core.evaluation.snapshot import columns_of, judge_candidate, levels_of, output
from ml_assets.core.gates.history import history
from ml_assets.core.gates.panel import as_levels, is_about_means
from ml_assets.core.gates.too_good import earlier_gains
from ml_assets.core.gates.unknown_rows import UnknownRows
from ml_assets.core.lineage.facts import FeaturesFacts
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.model.baseline import baseline_scores
from ml_assets.core.model.features import stacked
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.model.seen_keys import unseen
from ml_assets.core.model.split import tested_on, trained_on
from ml_assets.core.model.training import labelled
from ml_assets.core.release.offline_bundle import NotComputable, scores_of_classes
from ml_assets.spec.product import Product

if TYPE_CHECKING:
    from ml_assets.core.metrics.arrays import Ints


@dataclass(frozen=True)
class ComparisonInputs:
    """`model`: the candidate; `tested`: features of the test window; `before`: features of the partitions before it, which say
    what levels it should hold, and of which a simple model is made; `releases`: those that the candidate is compared with, by
    role (champion, anchor); `past`: the verdicts on earlier windows. `is_pooled`: the partitions that are tested are those of
    several windows, over which a candidate that was kept is judged; its own window has `own` of them."""

    model: Handle
    tested: Sequence[Handle]
    before: Sequence[Handle]
    releases: Mapping[str, Handle] = field(default_factory=dict)
    past: Sequence[VerdictFacts] = ()
    is_pooled: bool = False
    own: int = 1

    def usual(self, product: Product) -> pl.DataFrame:
        """The rows of the last partitions before the test window, as many as are tested."""
        return trained_rows(self.before[-product.window.test :], product)


def build(inputs: ComparisonInputs, product: Product, partition: str) -> Output:
    """Score, measure and judge. A champion whose own features cannot be computed any more leaves the verdict to a person."""
    rows = tested_rows(inputs.tested, inputs.before, product)
    expected = levels_of(labelled(inputs.usual(product), label=product.features.label), product=product)
    scores = {"candidate": candidate_scores(inputs.model, rows, product), **simple_scores(inputs.before, rows, product)}
    trouble = ""
    try:
        scores |= _release_scores(inputs, rows, product)
    except NotComputable as error:
        trouble = str(error)
    judged = judge_candidate(
        rows,
        scores,
        product=product,
        expected=expected,
        has_champion="champion" in inputs.releases,
        trouble=trouble,
        doubt=outcomes_lacking(inputs, product),
        past=history(inputs.past, unit=product.gates.unit),
        gains=earlier_gains(inputs.past, metric=product.gates.metric, unit=product.gates.unit),
        windows=pooled_windows(inputs, product),
        unknown=None if trouble else unknown_rows(inputs, product),
    )
    built = output(rows, scores, judged, product=product)
    if product.keys.across_partitions == "allow":
        return built
    every = labelled(_delivered(inputs.tested, product), label=product.features.label)
    return replace(built, facts={**built.facts, "seen_keys": every.height - rows.height})


def unknown_rows(inputs: ComparisonInputs, product: Product) -> UnknownRows | None:
    """The rows of the test window whose label is not known, scored by each model; None where there is none, no claim is about a
    mean, or a release cannot score them."""
    if not any(is_about_means(claim.form) for claim in product.gates.claims):
        return None
    rows = window_rows(inputs.tested, inputs.before, product)
    rows = rows.filter(pl.col(product.features.label).is_null())
    if rows.is_empty():
        return None
    scores = {"candidate": candidate_scores(inputs.model, rows, product), **simple_scores(inputs.before, rows, product)}
    try:
        scores |= _release_scores(inputs, rows, product)
    except NotComputable:  # on the rows with a label it could be: the verdict stands, only without these bounds
        return None
    columns = {name: as_levels(values) for name, values in columns_of(rows, product).items()}
    return UnknownRows(scores, columns)


def outcomes_lacking(inputs: ComparisonInputs, product: Product) -> str:
    """The reason why these rows let nothing through: too few outcomes of the test window are known to judge on, or they were
    tested on before; empty if there is none. Of windows that are pooled, each has to have enough: a whole one must not make up
    for the days of storm that another lacks."""
    usual = inputs.usual(product)
    if reopened := [fold for handle in inputs.tested if (fold := _reopened(handle)) is not None]:
        return f"fold {reopened[0]} was the test window of an earlier delivery, and a person reopened it: it proves nothing"
    reasons = [lacking(window_rows(window, inputs.before, product), usual, product=product) for window in _windows(inputs)]
    if not any(reasons):
        return ""
    again = f"`ml-assets run {product.name} --partition {inputs.tested[-1].partition}` asks again, as another look"
    return f"{'; '.join(filter(None, reasons))}; deliver what is missing, and {again}"


def _reopened(tested: Handle) -> int | None:
    """The fold that a person had tested on again; None where the rows are unseen."""
    if "fold" not in tested.manifest.facts:
        return None
    fold = FeaturesFacts.of(tested.manifest).fold
    return fold.reopened if fold else None


def pooled_windows(inputs: ComparisonInputs, product: Product) -> "Ints | None":
    """The number of the window that each tested row is of: (n,); None unless windows are pooled."""
    if not inputs.is_pooled:
        return None
    heights = [tested_rows(window, inputs.before, product).height for window in _windows(inputs)]
    return np.repeat(np.arange(len(heights)), heights)


def _windows(inputs: ComparisonInputs) -> list[Sequence[Handle]]:
    """The windows of the tested rows, which are measured apart: of those that are pooled the candidate's own first, and what came
    after it in parts of the same length, as far as it goes."""
    if not inputs.is_pooled:
        return [inputs.tested]
    return [inputs.tested[at : at + inputs.own] for at in range(0, len(inputs.tested), inputs.own)]


def tested_rows(tested: Sequence[Handle], before: Sequence[Handle], product: Product) -> pl.DataFrame:
    """The labelled rows of the test window that judge; `before` are the features trained on."""
    return labelled(window_rows(tested, before, product), label=product.features.label)


def trained_rows(trained: Sequence[Handle], product: Product) -> pl.DataFrame:
    """The rows of these features that the candidate may train on."""
    return trained_on(stacked(trained, product=product), product, partition=trained[-1].partition)


def window_rows(tested: Sequence[Handle], before: Sequence[Handle], product: Product) -> pl.DataFrame:
    """The rows of the test window that judge, with and without a label; `before` are the features trained on."""
    rows = _delivered(tested, product)
    if product.keys.across_partitions == "allow":
        return rows
    return unseen(rows, stacked(before, product=product), product=product)


def _delivered(tested: Sequence[Handle], product: Product) -> pl.DataFrame:
    return tested_on(stacked(tested, product=product), product, partition=tested[-1].partition)


def candidate_scores(model: Handle, rows: pl.DataFrame, product: Product) -> np.ndarray:
    """The candidate's scores: the features of the test window are those of the SQL that it was trained on and ships."""
    fitted = load_model(model.members["model.cbm"], task=product.task)
    return score_frame(fitted, rows, model.json("model.json")["features"])


def simple_scores(trained: Sequence[Handle], rows: pl.DataFrame, product: Product) -> dict[str, np.ndarray]:
    """The scores of the simple model of these training partitions, as `baseline`; nothing where none is declared."""
    spec = product.gates.baselines.baseline
    if spec is None:
        return {}
    known = labelled(trained_rows(trained, product), label=product.features.label)
    return {"baseline": baseline_scores(spec, known, rows, product=product)}


def _release_scores(inputs: ComparisonInputs, rows: pl.DataFrame, product: Product) -> dict[str, np.ndarray]:
    """The scores of champion and anchor, joined to the rows by key; a release with both roles scores once."""
    key = list(product.features.key)
    requests = pl.concat([handle.frame("requests.parquet") for handle in inputs.tested], how="vertical_relaxed")
    own_requests = rows.select(key).join(requests, on=key, how="left", maintain_order="left")
    by_release = {handle.manifest.snapshot: handle for handle in inputs.releases.values()}
    classes = product.features.class_names
    scores = {digest: scores_of_classes(handle, own_requests, classes) for digest, handle in by_release.items()}
    return {role: scores[handle.manifest.snapshot] for role, handle in inputs.releases.items()}
