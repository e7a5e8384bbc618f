"""The worth of a release's served predictions: metrics on the outcomes that came, and an estimate until then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.evaluation.comparison import evaluate
from ml_assets.core.evaluation.result import Evaluation
from ml_assets.core.evaluation.snapshot import metrics
from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.registry import metric_at
from ml_assets.core.metrics.score_columns import names, of_columns
from ml_assets.core.metrics.units import units
from ml_assets.core.outcomes.estimates import calibrated, expected, why_none
from ml_assets.core.outcomes.served import ROW
from ml_assets.spec.product import Product

VALUE = "value"


@dataclass(frozen=True)
class Tested:
    """A release on its own test window: `scores` and `outcomes` (n,), the `promised` metrics by name, and its threshold."""

    release: str
    scores: Floats
    outcomes: Floats
    promised: Mapping[str, float | None]
    threshold: float | None


@dataclass(frozen=True)
class RealisedLine:
    """One release by one way of serving in one partition. `evaluation` is None until an outcome is known."""

    about: Mapping[str, Any]
    evaluation: Evaluation | None


def line(rows: pl.DataFrame, served: pl.DataFrame, tested: Tested, *, source: str, bundle: str, product: Product) -> RealisedLine:
    """The realised metrics of the predictions `served` (with their row's number), on the partition's `rows` with their labels."""
    questions = rows[served[ROW].to_list()]
    classes = product.features.class_names
    label, scores = questions[product.features.label].cast(pl.Float64), served_scores(served, classes)
    is_known = label.is_not_null().to_numpy()
    names = [product.monitoring.metric, *([VALUE] if product.monitoring.value else [])]
    about: dict[str, Any] = {
        "release": tested.release,
        "bundle": bundle,
        "source": source,
        "rows": questions.height,
        "known": int(is_known.sum()),
        "positives": int(label.filter(label.is_not_null()).sum()) if product.task == "binary" else None,
        "promised": {name: tested.promised.get(name) for name in names},
        "estimated": estimated(scores, tested, names, product),
        "note": why_none(product.task, len(tested.scores)),
    }
    if not is_known.any():
        return RealisedLine({**about, "metrics": None}, None)
    known = questions.filter(label.is_not_null())
    unit = product.gates.unit
    evaluation = evaluate(
        task=product.task,
        y=label.drop_nulls(),
        scores={"candidate": scores[is_known]},
        unit=served[ROW].filter(label.is_not_null()) if unit == "row" else units(known, unit=unit, time=product.features.time),
        slices={},
        threshold=tested.threshold,
        worth=product.monitoring.value,
        level=product.evaluation.interval,
        classes=classes,
    )
    by_metric = metrics(evaluation)
    return RealisedLine(
        {**about, "metrics": {name: by_metric[name]["candidate"] for name in names if name in by_metric}}, evaluation
    )


def served_scores(served: pl.DataFrame, classes: Sequence[str]) -> Floats:
    """The scores of served predictions: (n,) or, of several classes, (n, classes), where one that the release did not know has
    the probability 0."""
    absent = [name for name in names("score", classes) if name not in served.columns] if classes else []
    known = served.with_columns(pl.lit(0.0).alias(name) for name in absent)
    return of_columns(known.with_columns(pl.col(names("score", classes)).fill_null(0.0)), "score", classes)


def estimated(scores: Floats, tested: Tested, names: list[str], product: Product) -> dict[str, float | None]:
    """The named metrics of all served scores, without labels; nothing where there is nothing to calibrate by."""
    if why_none(product.task, len(tested.scores)) or not np.unique(tested.outcomes).size > 1:
        return {}
    probabilities = calibrated(scores, tested=tested.scores, outcomes=tested.outcomes)
    worth = product.monitoring.value
    return {name: expected(metric_at(name, tested.threshold, worth, task=product.task), scores, probabilities) for name in names}
