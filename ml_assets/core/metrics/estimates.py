"""Metrics of real columns: checks, then an estimate of one model or of a paired difference, by unit."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from ml_assets.core.metrics.arrays import Column, Floats, Ints, Task
from ml_assets.core.metrics.intervals import Estimate, Measured, Units
from ml_assets.core.metrics.metric import Metric
from ml_assets.errors import MlAssetsError


class MetricError(MlAssetsError):
    """Labels and scores from which no metric may be computed."""


def checked(y: Column, s: Column, *, task: Task, who: str = "score") -> tuple[Floats, Floats]:
    """Labels (n,) and scores (n,), of several classes (n, classes), as float arrays, or an error that says what is wrong with
    them."""
    label = _floats(y, "label")
    score = _probabilities(s, who) if task == "multiclass" else _floats(s, who)
    if label.size != len(score):
        raise MetricError(f"{label.size} labels but {len(score)} values of {who}: they must be the same rows")
    if task == "multiclass":
        _refuse_unknown_class(label, score)
    if task == "binary" and not np.isin(label, (0.0, 1.0)).all():
        raise MetricError("label: a binary label is 0 or 1; map or filter it in the product's labels model")
    if task != "regression" and not ((score >= 0) & (score <= 1)).all():
        raise MetricError(f"{who}: a {task} score is a probability in [0, 1], found {score.min()} to {score.max()}")
    return label, score


def _probabilities(values: Column, who: str) -> Floats:
    """Scores of several classes: (n, classes)."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2:
        raise MetricError(f"{who}: a score of several classes has a column for each, found {array.ndim} dimension")
    if bad := int((~np.isfinite(array)).any(axis=1).sum()):
        raise MetricError(f"{who}: {bad} of {len(array)} rows have a value that is missing or not finite")
    return array


def _refuse_unknown_class(label: Floats, score: Floats) -> None:
    numbers = np.arange(score.shape[1])
    if unknown := sorted({*label.tolist()} - {*numbers.tolist()}):
        raise MetricError(
            f"label: {unknown[0]:g} is none of the {numbers.size} classes that are scored, whose numbers are 0 to "
            f"{numbers.size - 1}"
        )


def _floats(values: Column, who: str) -> Floats:
    try:
        array = np.asarray(pl.Series(who, values).cast(pl.Float64).to_numpy(), dtype=np.float64)
    except pl.exceptions.PolarsError as error:
        raise MetricError(f"{who}: not a column of numbers ({error})") from error
    if array.size == 0:
        raise MetricError(f"{who}: no rows, so nothing can be measured; is the test partition empty?")
    if bad := int((~np.isfinite(array)).sum()):
        raise MetricError(f"{who}: {bad} of {array.size} values are missing or not finite")
    return array


def units_of(unit: Column, *, rows: int) -> Units:
    """The unit of each row, in the order of the units; that of a date or a time is an order in time."""
    series = pl.Series("unit", unit)
    if len(series) != rows:
        raise MetricError(f"{rows} rows but {len(series)} units: they must be the same rows")
    if series.null_count():
        raise MetricError(f"unit: {series.null_count()} rows have none, so they belong to no independent part")
    codes = np.unique(series.to_numpy(), return_inverse=True)[1].astype(np.int64).ravel()
    return Units.of(codes, is_ordered=series.dtype.is_temporal())


def measure(metric: Metric, y: Floats, s: Floats, units: Units, *, classes: Sequence[str] = ()) -> Measured:
    """Value and spread of one model on checked rows; an undefined value is NaN with a note, which names `classes`."""
    value, parts, note = float("nan"), np.full(units.count, np.nan), _undefined(metric, y, s, classes)
    if not note:
        value, parts = _value_and_parts(metric, y, s, units)
        value -= metric.bias(y, s, units.codes) if metric.bias else 0.0
        note = f"{metric.name} is undefined on these rows" if np.isnan(value) else ""
    return Measured(value=value, parts=parts, shares=units.shares, is_ordered=units.is_ordered, rows=y.size, note=note)


def _value_and_parts(metric: Metric, y: Floats, s: Floats, units: Units) -> tuple[float, Floats]:
    if metric.both is not None:
        value, influence = metric.both(y, s)
        return value, units.sums(influence)
    if metric.influence is None:
        raise MetricError(f"metric {metric.name}: has no influence function")
    value = metric.value(y, s, None)
    return value, np.full(units.count, np.nan) if np.isnan(value) else units.sums(metric.influence(y, s))


def _undefined(metric: Metric, y: Floats, s: Floats, classes: Sequence[str]) -> str:
    if metric.needs_every_class and (absent := absent_classes(y, s, classes)):
        return f"no row of {', '.join(absent)}: {metric.name} is undefined"
    if metric.needs_both_classes and y.min() == y.max():
        return f"only {'positives' if y[0] else 'negatives'}: {metric.name} is undefined"
    if metric.needs and not (y if metric.needs == "positives" else 1 - y).any():
        return f"no {metric.needs}: {metric.name} is undefined"
    if metric.name == "r2" and y.min() == y.max():
        return "the actual values do not vary: r2 is undefined"
    return ""


def absent_classes(y: Floats, s: Floats, classes: Sequence[str]) -> list[str]:
    """The classes that no row is of, by their names or, without `classes`, by their numbers."""
    counts = class_counts(y, s)
    named = classes or [f"class {number}" for number in range(counts.size)]
    return [name for name, count in zip(named, counts, strict=True) if not count]


def class_counts(y: Floats, s: Floats) -> Ints:
    """The number of rows of each class (classes,), of labels (n,) and scores (n, classes)."""
    return np.bincount(y.astype(np.int64), minlength=s.shape[1]).astype(np.int64)


def bounds_of_difference(metric: Metric) -> tuple[float, float]:
    """The range of a difference of two values of the metric."""
    low, high = metric.range
    return low - high, high - low


def estimate(metric: Metric, y: Column, s: Column, unit: Column, *, level: float = 0.95) -> Estimate:
    """The metric of one model, with its interval clustered by unit."""
    label, score = checked(y, s, task=metric.task)
    units = units_of(unit, rows=label.size)
    return measure(metric, label, score, units).estimate(level=level, bounds=metric.range)


def difference(metric: Metric, y: Column, a: Column, b: Column, unit: Column, *, level: float = 0.95) -> Estimate:
    """metric(a) - metric(b) on the same rows, paired by construction."""
    label, first = checked(y, a, task=metric.task, who="first score")
    _, second = checked(label, b, task=metric.task, who="second score")
    units = units_of(unit, rows=label.size)
    paired = measure(metric, label, first, units).minus(measure(metric, label, second, units))
    return paired.estimate(level=level, bounds=bounds_of_difference(metric))
