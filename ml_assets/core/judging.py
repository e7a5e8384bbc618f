"""The evaluation snapshot: candidate and champion on the same unseen rows, measured, drawn and judged."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.digests import digest_members, sha256
from ml_assets.core.evaluation import evaluate
from ml_assets.core.evaluation_result import Evaluation
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.manifests import Output
from ml_assets.core.plots import plots
from ml_assets.core.units import units
from ml_assets.core.verdict import Verdict, judge
from ml_assets.errors import MlAssetsError
from ml_assets.product import Product

Scores = Mapping[str, np.ndarray]
"""Scores by role ("candidate", "champion"), one float64 per row."""

REPORT = "report.html"


class EvaluationRefused(MlAssetsError):
    """The rows cannot judge this candidate."""


@dataclass(frozen=True)
class Judged:
    """What was measured and what follows from it."""

    evaluation: Evaluation
    verdict: Verdict


def refuse_seen_rows(product: Product, *, tested: Sequence[str], trained: Mapping[str, Sequence[str]]) -> None:
    """Refuse a test window that overlaps a model's training window (`trained`: partitions by role)."""
    for role, partitions in trained.items():
        if seen := sorted(set(tested) & set(partitions)):
            raise EvaluationRefused(
                f"{product.name}: the {role} was trained on {', '.join(seen)}, which the test window also holds; "
                f"unseen rows alone can judge a model"
            )


def judge_candidate(frame: pl.DataFrame, scores: Scores, *, product: Product) -> Judged:
    """Measure and judge on labelled rows. `frame` holds label, time, slice and unit columns; scores are in its order."""
    evaluation = evaluate(
        task=product.task,
        y=frame[product.features.label].cast(pl.Float64),
        scores=scores,
        unit=units(frame, unit=product.gates.unit, time=product.features.time),
        slices={name: frame[name] for name in product.evaluation.slices},
        threshold=product.decision.threshold if product.decision else None,
        level=product.evaluation.interval,
    )
    return Judged(evaluation, judge(evaluation, product.gates.claims, has_champion="champion" in scores))


def output(
    frame: pl.DataFrame, scores: Scores, judged: Judged, *, product: Product, report: bytes, facts: Mapping[str, Any]
) -> Output:
    """The members of an evaluation snapshot. Its data version leaves out the report, whose bytes hold the time."""
    label, time = product.features.label, product.features.time
    scored = frame.select(*product.features.key, time, label).with_columns(
        pl.Series(role, values) for role, values in scores.items()
    )
    files = {
        "metrics.json": _json(judged.evaluation.to_dict()),
        "verdict.json": _json(judged.verdict.to_dict()),
        "slices.parquet": parquet_bytes(judged.evaluation.slice_table()),
        "scores.parquet": parquet_bytes(scored),
        "summary.md": judged.evaluation.summary_markdown().encode(),
    }
    files |= {f"plots/{name}.svg": svg for name, svg in plots(judged.evaluation).items()}
    version = digest_members({name: sha256(content) for name, content in files.items()})
    told = {"verdict": judged.verdict.to_dict(), "metrics": metrics(judged.evaluation), "rows": frame.height}
    return Output(files | {REPORT: report}, {**told, **facts}, data_version=version)


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """{metric: {role or "difference": {value, low, high, …}}} for listing."""
    return {c.metric: {name: estimate.to_dict() for name, estimate in c.estimates.items()} for c in evaluation.overall}


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()
