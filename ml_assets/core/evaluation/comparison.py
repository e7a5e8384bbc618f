"""Candidate and champion on the same rows, measured. What comes out is in result.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ml_assets.core.evaluation import curves
from ml_assets.core.evaluation.result import BASELINE, CANDIDATE, CHAMPION, Evaluation, MetricComparison, Slice
from ml_assets.core.metrics.arrays import Column, Floats, Ints, Task
from ml_assets.core.metrics.estimates import MetricError, bounds_of_difference, checked, measure, units_of
from ml_assets.core.metrics.intervals import Units
from ml_assets.core.metrics.metric import Metric
from ml_assets.core.metrics.registry import metrics_of
from ml_assets.core.metrics.score_columns import likeliest
from ml_assets.spec.monitoring import ValueSpec

MISSING_LEVEL = "(missing)"


@dataclass(frozen=True)
class _Scored:
    """Checked rows: the label, the scores of each model, the unit of each row, and the names of classes."""

    y: Floats
    scores: Mapping[str, Floats]
    units: Units
    classes: Sequence[str]

    def part(self, index: Ints) -> "_Scored":
        """The rows with these numbers, in units of their own."""
        units = Units.of(self.units.codes[index], is_ordered=self.units.is_ordered)
        return _Scored(self.y[index], {name: s[index] for name, s in self.scores.items()}, units, self.classes)

    def compare(self, metrics: tuple[Metric, ...], level: float) -> tuple[MetricComparison, ...]:
        """The models by each metric, with intervals at the level."""
        return tuple(self._compare(metric, level) for metric in metrics)

    def _compare(self, metric: Metric, level: float) -> MetricComparison:
        measured = {name: measure(metric, self.y, s, self.units, classes=self.classes) for name, s in self.scores.items()}
        values = {name: measurement.estimate(level=level, bounds=metric.range) for name, measurement in measured.items()}
        if CHAMPION not in measured:
            return MetricComparison(metric=metric.name, candidate=values[CANDIDATE], baseline=values.get(BASELINE))
        paired = measured[CANDIDATE].minus(measured[CHAMPION])
        difference = paired.estimate(level=level, bounds=bounds_of_difference(metric))
        return MetricComparison(metric=metric.name, **values, difference=difference)


def evaluate(
    *,
    task: Task,
    y: Column,
    scores: Mapping[str, Column],
    unit: Column,
    slices: Mapping[str, Column | None],
    threshold: float | None = None,
    worth: ValueSpec | None = None,
    level: float = 0.95,
    classes: Sequence[str] = (),
) -> Evaluation:
    """Measure `candidate` (and `champion`, `baseline`) on the rows given; `slices` holds every declared column, `classes` the
    names of a label of several."""
    scored = _scored(task=task, y=y, scores=scores, unit=unit, classes=classes)
    metrics = metrics_of(task, threshold=threshold, worth=worth)
    return Evaluation(
        task=task,
        level=level,
        threshold=threshold,
        rows=scored.y.size,
        units=scored.units.count,
        positives=_positives(task, scored.y),
        overall=scored.compare(metrics, level),
        slices=tuple(
            Slice(
                column=column,
                level=name,
                rows=index.size,
                positives=_positives(task, scored.y[index]),
                comparisons=scored.part(index).compare(metrics, level),
            )
            for column, values in slices.items()
            for name, index in _levels(column, values, rows=scored.y.size)
        ),
        confusion={name: _confusion(scored.y, s, threshold) for name, s in scored.scores.items()},
        curves=curves.draw(task=task, y=scored.y, scores=scored.scores, codes=scored.units.codes, unit=unit),
        classes=tuple(classes),
    )


def _scored(*, task: Task, y: Column, scores: Mapping[str, Column], unit: Column, classes: Sequence[str]) -> _Scored:
    if CANDIDATE not in scores or set(scores) - {CANDIDATE, CHAMPION, BASELINE}:
        raise MetricError(f"scores of {sorted(scores)}: expected {CANDIDATE} and at most {CHAMPION} and {BASELINE}")
    pairs = {name: checked(y, s, task=task, who=name) for name, s in scores.items()}
    label = pairs[CANDIDATE][0]
    return _Scored(label, {name: s for name, (_, s) in pairs.items()}, units_of(unit, rows=label.size), tuple(classes))


def _levels(column: str, values: Column | None, *, rows: int) -> list[tuple[str, Ints]]:
    """The row numbers of each level, most rows first; a declared slice that is not there is an error."""
    if values is None:
        raise MetricError(f"slice {column}: declared in evaluation.slices, and the rows have no such column")
    series = pl.Series(column, values)
    if len(series) != rows:
        raise MetricError(f"slice {column}: {len(series)} values for {rows} rows")
    frame = pl.DataFrame({"level": series.cast(pl.String).fill_null(MISSING_LEVEL)}).with_row_index("row")
    groups = frame.group_by("level").agg(pl.col("row"), pl.len().alias("rows"))
    ordered = groups.sort(["rows", "level"], descending=[True, False])
    return [(name, np.asarray(index, dtype=np.int64)) for name, index, _ in ordered.iter_rows()]


def _positives(task: Task, y: Floats) -> int | None:
    return int(y.sum()) if task == "binary" else None


def _confusion(y: Floats, s: Floats, threshold: float | None) -> dict[str, int]:
    """Rows by cell: of several classes "actual,predicted" by their numbers, every cell of the matrix."""
    if s.ndim == 2:
        count = s.shape[1]
        cells = np.bincount(y.astype(np.int64) * count + likeliest(s), minlength=count * count).tolist()
        return {f"{cell // count},{cell % count}": rows for cell, rows in enumerate(cells)}
    if threshold is None:
        return {}
    decisions = s >= threshold
    return {
        "true_positive": int((decisions & (y == 1)).sum()),
        "false_positive": int((decisions & (y == 0)).sum()),
        "false_negative": int((~decisions & (y == 1)).sum()),
        "true_negative": int((~decisions & (y == 0)).sum()),
    }
