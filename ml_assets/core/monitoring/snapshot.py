"""The monitoring snapshot: how far a new partition is from what the release was trained on, and how well it did."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.drift.histogram_json import to_json
from ml_assets.core.drift.histograms import count, is_countable
from ml_assets.core.evaluation.comparison import evaluate
from ml_assets.core.evaluation.snapshot import metrics
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.metrics.drift import drift
from ml_assets.core.metrics.score_columns import aligned, shown
from ml_assets.core.metrics.units import units
from ml_assets.core.plots.figures import drift_plot, plots
from ml_assets.spec.product import Product


def observe(
    frame: pl.DataFrame,
    own: pl.DataFrame,
    scores: np.ndarray,
    *,
    product: Product,
    profile: Mapping[str, Any],
    promised: float | None,
    classes: Sequence[str] = (),
) -> Output:
    """Drift of columns and score against the release's profile, and realised metrics where labels are known.

    `frame` has the labels, `own` the features that the release computes, in the same order as the scores (n,) or, of the
    release's `classes`, (n, classes): what drifts then are the shares of its decisions. `promised` is the monitored metric's
    value on the release's own test window (None when it was not recorded).
    """
    answers = shown(scores, classes)
    report = drift(profile, own.select(list(profile["columns"])), answers)
    limits = product.monitoring
    drifted = [name for name in report.above(limits.column_psi) if name not in limits.ignore]
    realised = _realised(frame, aligned(scores, own=classes, wanted=product.features.class_names), product)
    counted = own.select([name for name, dtype in own.schema.items() if name in profile["columns"] and is_countable(dtype)])
    histograms = {**count(counted), "score": count(pl.DataFrame({"score": answers}))["score"]}
    files = {
        "histograms.json": to_json(histograms),
        "drift.json": json.dumps(report.to_dict(), indent=1, allow_nan=False).encode(),
        "drift.parquet": parquet_bytes(report.columns),
        "plots/drift.svg": drift_plot(report, limit=limits.column_psi),
        **(realised[1] if realised else {}),
    }
    facts = {
        "rows": frame.height,
        "score_psi": report.score_psi,
        "drifted": drifted,
        "promised": promised,
        "metrics": realised[0] if realised else None,
    }
    return Output(files, facts)


def _realised(frame: pl.DataFrame, scores: np.ndarray, product: Product) -> tuple[dict[str, Any], dict[str, bytes]] | None:
    is_labelled = frame[product.features.label].is_not_null()
    rows = frame.filter(is_labelled)
    if rows.is_empty():
        return None
    evaluation = evaluate(
        task=product.task,
        y=rows[product.features.label].cast(pl.Float64),
        scores={"candidate": scores[is_labelled.to_numpy()]},
        unit=units(rows, unit=product.gates.unit, time=product.features.time),
        slices={},
        threshold=product.decision.threshold if product.decision else None,
        worth=product.monitoring.value,
        level=product.evaluation.interval,
        classes=product.features.class_names,
    )
    drawn = {f"plots/{name}.svg": svg for name, svg in plots(evaluation).items()}
    return metrics(evaluation), {"metrics.json": json.dumps(evaluation.to_dict(), allow_nan=False).encode(), **drawn}
