"""The evaluation snapshot: candidate, champion and anchor on the same unseen rows, measured, drawn and judged."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.digests import digest_json
from ml_assets.core.evaluation.comparison import evaluate
from ml_assets.core.evaluation.result import Evaluation
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.gates.history import History
from ml_assets.core.gates.hypotheses import Expected, levels_expected
from ml_assets.core.gates.panel import MISSING_LEVEL, Panel, panel
from ml_assets.core.gates.unknown_rows import UnknownRows
from ml_assets.core.gates.verdict import Verdict, gate_digest, judge
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.lineage.verdict_facts import GainFacts
from ml_assets.core.metrics.arrays import Ints
from ml_assets.core.metrics.estimates import units_of
from ml_assets.core.metrics.score_columns import as_columns
from ml_assets.core.metrics.units import units
from ml_assets.errors import MlAssetsError
from ml_assets.spec.claim_grammar import CROSSED
from ml_assets.spec.product import Product

Scores = Mapping[str, np.ndarray]
"""Scores by model, float64: (n,) or, of a label of several classes, (n, classes)."""


class EvaluationRefused(MlAssetsError):
    """The rows cannot judge this candidate."""


@dataclass(frozen=True)
class JudgedEvaluation:
    """The measurements and the verdict that follows from them."""

    evaluation: Evaluation
    verdict: Verdict


def refuse_seen_rows(product: Product, *, tested: Sequence[str], trained: Mapping[str, Sequence[str]]) -> None:
    """Refuse a test window that overlaps a model's training window (`trained`: by role the partitions or, of a static table, the
    parts of its keys; core.evaluation.seen_data)."""
    for role, partitions in trained.items():
        if seen := sorted(set(tested) & set(partitions)):
            raise EvaluationRefused(
                f"{product.name}: the {role} was trained on {', '.join(seen)}, which the test window also holds; "
                f"unseen rows alone can judge a model"
            )


def comparison_digest(product: Product, *, models: Mapping[str, str], tested: Mapping[str, str]) -> str:
    """The digest that two looks at a window share if they are the same one: the gates, the models' fingerprints, the test rows by
    partition."""
    return digest_json({"gate": gate_digest(product), "models": dict(models), "tested": dict(tested)})


def panel_of(
    frame: pl.DataFrame, scores: Scores, *, product: Product, windows: Ints | None = None, unknown: UnknownRows | None = None
) -> Panel:
    """The rows as gates see them. `windows` (n,): the number of the window that each is of, where several are pooled; `unknown`:
    the rows of the same window without a label."""
    return panel(
        task=product.task,
        y=frame[product.features.label].cast(pl.Float64),
        scores=scores,
        unit=units(frame, unit=product.gates.unit, time=product.features.time),
        columns=columns_of(frame, product),
        threshold=product.decision.threshold if product.decision else None,
        worth=product.monitoring.value,
        windows=windows,
        classes=product.features.class_names,
        unknown=unknown,
    )


def coarser_units(frame: pl.DataFrame, product: Product) -> dict[str, Ints]:
    """The calendar units that rows may be alike by, where the gates take each row for a unit and rows have a time: codes (n,) by
    name."""
    time = product.features.time
    if product.gates.unit != "row" or not time:
        return {}
    return {unit: units_of(units(frame, unit=unit, time=time), rows=frame.height).codes for unit in ("day", "hour")}


def columns_of(frame: pl.DataFrame, product: Product) -> dict[str, pl.Series]:
    """The columns that claims divide the rows by; of those that are taken together, the levels of all in one text."""
    columns = {name: frame[name] for name in product.gates.slices}
    for names in product.gates.crossed:
        levels = (pl.col(name).cast(pl.String).fill_null(MISSING_LEVEL) for name in names)
        columns[CROSSED.join(names)] = frame.select(pl.concat_str(levels, separator=CROSSED)).to_series()
    return columns


def levels_of(trained: pl.DataFrame, *, product: Product) -> dict[str, list[str]]:
    """The levels of the gates' columns that a test window should hold: those that the rows before it had in enough units."""
    if trained.is_empty():  # no outcome before the window is known: it should hold no level in particular
        return {}
    classes = len(product.features.classes)
    none = {"candidate": np.zeros((trained.height, classes) if classes else trained.height)}
    trained_panel = panel_of(trained, none, product=product)
    levels: dict[str, list[str]] = {}
    for column, level in levels_expected(trained_panel.groups, trained_panel.codes, product.gates.minimum):
        levels.setdefault(column, []).append(level)
    return levels


def judge_candidate(
    frame: pl.DataFrame,
    scores: Scores,
    *,
    product: Product,
    expected: Expected | None = None,
    has_champion: bool | None = None,
    trouble: str = "",
    doubt: str = "",
    past: History | None = None,
    gains: Sequence[GainFacts] = (),
    windows: Ints | None = None,
    unknown: UnknownRows | None = None,
) -> JudgedEvaluation:
    """Measure and judge on labelled rows. `frame` holds label, time, slice and unit columns; scores are in its order.

    `has_champion`: whether a release serves, with or without scores (default: whether there are its scores); `trouble`: why
    nothing can be decided; `doubt`: why nothing may be let through on these rows; `past`: what earlier windows showed of the
    claims; `gains`: those of earlier candidates; `windows` (n,): the number of the window that each row is of, where several are
    pooled; `unknown`: the rows without a label, of which worst cases are shown.
    """
    evaluation = measured(frame, {role: values for role, values in scores.items() if role != "anchor"}, product=product)
    panel = panel_of(frame, scores, product=product, windows=windows, unknown=unknown)
    verdict = judge(
        product,
        panel,
        expected=expected,
        has_champion=has_champion,
        trouble=trouble,
        doubt=doubt,
        past=past,
        gains=gains,
        coarser=coarser_units(frame, product),
    )
    return JudgedEvaluation(evaluation, verdict)


def measured(frame: pl.DataFrame, scores: Scores, *, product: Product) -> Evaluation:
    """The product's metrics of the scores of `candidate`, `champion` and `baseline` on labelled rows, overall and by slice."""
    return evaluate(
        task=product.task,
        y=frame[product.features.label].cast(pl.Float64),
        scores=scores,
        unit=units(frame, unit=product.gates.unit, time=product.features.time),
        slices={name: frame[name] for name in product.evaluation.slices},
        threshold=product.decision.threshold if product.decision else None,
        worth=product.monitoring.value,
        level=product.evaluation.interval,
        classes=product.features.class_names,
    )


def output(frame: pl.DataFrame, scores: Scores, judged: JudgedEvaluation, *, product: Product) -> Output:
    """The members of an evaluation snapshot: all numbers, and no picture."""
    columns = dict.fromkeys([*product.features.identity, product.features.label, *_unit_column(product), *product.gates.slices])
    classes = product.features.class_names
    scored = frame.select(*columns).with_columns(
        column for role, values in scores.items() for column in as_columns(role, values, classes)
    )
    verdict = judged.verdict.to_dict()
    files = {
        "metrics.json": _json(judged.evaluation.to_dict()),
        "verdict.json": _json(verdict),
        "slices.parquet": parquet_bytes(judged.evaluation.slice_table()),
        "scores.parquet": parquet_bytes(scored),
        "summary.md": judged.evaluation.summary_markdown().encode(),
    }
    return Output(files, {"verdict": verdict, "metrics": metrics(judged.evaluation), "rows": frame.height})


def _unit_column(product: Product) -> list[str]:
    from ml_assets.core.metrics.units import CALENDAR

    return [] if product.gates.unit in (*CALENDAR, "row") else [product.gates.unit]


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """{metric: {role or "difference": {value, low, high, …}}} for listing."""
    return {c.metric: {name: estimate.to_dict() for name, estimate in c.estimates.items()} for c in evaluation.overall}


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode()
