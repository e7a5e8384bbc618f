"""The points of the pictures of an evaluation, thinned to what a small picture can show."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.metrics.arrays import Column, Floats, Ints, Task
from ml_assets.core.metrics.binary import BINS, equal_mass_bins

POINTS = 100
HISTOGRAM_BINS = 20


@dataclass(frozen=True)
class Curve:
    """Points of one model in one picture. `x` may be labels of a time axis."""

    x: tuple[float, ...] | tuple[str, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """Picture name -> model name -> points; what a task has not is empty."""

    points: Mapping[str, Mapping[str, Curve]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: x and y as lists."""
        return {name: {model: asdict(curve) for model, curve in models.items()} for name, models in self.points.items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Curves":
        """Read what `to_dict` returned."""
        return cls(
            {
                name: {model: Curve(tuple(curve["x"]), tuple(curve["y"])) for model, curve in models.items()}
                for name, models in value.items()
            }
        )


def draw(*, task: Task, y: Floats, scores: Mapping[str, Floats], codes: Ints, unit: Column) -> Curves:
    """The curves of a task for every model."""
    if task == "regression":
        return Curves(_regression(y=y, scores=scores, codes=codes, unit=unit))
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    if task == "multiclass":
        return Curves(_of_classes(y=y, scores=scores, edges=edges))
    points = {"calibration": {name: calibration(y, s) for name, s in scores.items()}}
    if y.min() != y.max():
        points["roc"] = {name: roc(y, s) for name, s in scores.items()}
        points["precision_recall"] = {name: precision_recall(y, s) for name, s in scores.items()}
    points["score_distribution"] = {name: histogram(s, edges) for name, s in scores.items()}
    return Curves(points)


def class_calibration(number: int) -> str:
    """The name of the picture of one class's calibration."""
    return f"calibration_{number}"


def _of_classes(*, y: Floats, scores: Mapping[str, Floats], edges: Floats) -> dict[str, dict[str, Curve]]:
    """The calibration of each class against the rest, by its number, and how sure the models are of their decisions."""
    count = next(iter(scores.values())).shape[1]
    by_class = {
        class_calibration(k): {name: calibration(np.equal(y, k).astype(np.float64), s[:, k]) for name, s in scores.items()}
        for k in range(count)
    }
    return {**by_class, "score_distribution": {name: histogram(s.max(axis=1), edges) for name, s in scores.items()}}


def _regression(*, y: Floats, scores: Mapping[str, Floats], codes: Ints, unit: Column) -> dict[str, dict[str, Curve]]:
    residuals = {name: s - y for name, s in scores.items()}
    levels = pl.Series(unit).unique().sort().cast(pl.String).to_list()
    return {
        "predicted_vs_actual": {name: sample(y, s) for name, s in scores.items()},
        "residuals": {name: histogram(errors, _shared_edges(residuals)) for name, errors in residuals.items()},
        "residuals_by_unit": {name: by_unit(errors, codes, levels) for name, errors in residuals.items()},
        "score_distribution": {
            name: histogram(values, _shared_edges({"actual": y, **scores})) for name, values in {"actual": y, **scores}.items()
        },
    }


def roc(y: Floats, s: Floats) -> Curve:
    """False positive rate and true positive rate as the threshold falls."""
    hits, rows = _running(y, s)
    index = _spread(hits + rows)
    misses = rows - hits
    return _curve((misses / misses[-1])[index], (hits / hits[-1])[index])


def precision_recall(y: Floats, s: Floats) -> Curve:
    """Recall and precision as the threshold falls, from the first positive that is found."""
    hits, rows = _running(y, s)
    hits, rows = hits[hits > 0], rows[hits > 0]
    index = _spread(hits / hits[-1] + rows / rows[-1])
    return _curve((hits / hits[-1])[index], (hits / rows)[index])


def _running(y: Floats, s: Floats) -> tuple[Floats, Floats]:
    """Positives and rows at or above each distinct score, from none to all."""
    order = np.argsort(-s, kind="stable")
    last = np.append(np.flatnonzero(np.diff(s[order])), s.size - 1)
    return np.append(0.0, np.cumsum(y[order])[last]), np.append(0.0, last + 1.0)


def _spread(position: Floats) -> Ints:
    """At most POINTS row numbers, evenly spread along a rising position, with both ends."""
    targets = np.linspace(position[0], position[-1], POINTS)
    return np.unique(np.minimum(np.searchsorted(position, targets), position.size - 1)).astype(np.int64)


def calibration(y: Floats, s: Floats) -> Curve:
    """Mean score and share of positives in ten bins of equal mass; the bins of the calibration error."""
    bins = equal_mass_bins(s)
    sizes = np.bincount(bins, minlength=BINS)
    filled = sizes > 0
    means = [np.bincount(bins, weights=values, minlength=BINS)[filled] / sizes[filled] for values in (s, y)]
    return _curve(*means)


def histogram(values: Floats, edges: Floats) -> Curve:
    """Left edges of the bins (the last right edge included) and the share of rows in each."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
    return _curve(edges, counts / values.size)


def _shared_edges(columns: Mapping[str, Floats]) -> Floats:
    """Edges over the middle 99 % of all columns; what lies outside is counted in the end bins."""
    low, high = np.quantile(np.concatenate(list(columns.values())), (0.005, 0.995))
    return np.linspace(low, high if high > low else low + 1, HISTOGRAM_BINS + 1)


def sample(actual: Floats, predicted: Floats) -> Curve:
    """Points evenly spread over the ranks of the actual value, the same rows for every model."""
    index = np.argsort(actual, kind="stable")[np.unique(np.linspace(0, actual.size - 1, POINTS).astype(int))]
    return _curve(actual[index], predicted[index])


def by_unit(residuals: Floats, codes: Ints, levels: list[str]) -> Curve:
    """The mean residual of each unit in order; more than POINTS units are averaged in runs."""
    group = np.arange(len(levels)) * min(POINTS, len(levels)) // len(levels)
    means = np.bincount(group[codes], weights=residuals) / np.bincount(group[codes])
    first = np.flatnonzero(np.diff(group, prepend=-1))
    return Curve(x=tuple(levels[i] for i in first), y=_rounded(means))


def _curve(x: Floats, y: Floats) -> Curve:
    return Curve(x=_rounded(x), y=_rounded(y))


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
