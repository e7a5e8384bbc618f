"""The measurements on one test window, as a value that travels: frozen, JSON-able, readable.

Belongs here: numbers and their table. Does not: whether they are good enough (verdict.py), pictures (core/plots/figures.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from ml_assets.core.evaluation.curves import Curves
from ml_assets.core.markdown import code
from ml_assets.core.metrics.arrays import Task
from ml_assets.core.metrics.intervals import Estimate, finite_or_none
from ml_assets.core.metrics.registry import METRICS

CANDIDATE, CHAMPION, BASELINE = "candidate", "champion", "baseline"
_SHOWN_SLICES = 12
_ARROWS = {
    "greatest": "higher is better",
    "least": "lower is better",
    "nearest_zero": "nearer to 0 is better",
    "neither": "no direction",
}


@dataclass(frozen=True, kw_only=True)
class MetricComparison:
    """One metric of the candidate and, where there are such, of baseline and champion; and the difference from the champion."""

    metric: str
    candidate: Estimate
    baseline: Estimate | None = None
    champion: Estimate | None = None
    difference: Estimate | None = None

    @property
    def estimates(self) -> dict[str, Estimate]:
        """The estimates that exist, by name."""
        named = {
            CANDIDATE: self.candidate,
            BASELINE: self.baseline,
            CHAMPION: self.champion,
            "difference": self.difference,
        }
        return {name: estimate for name, estimate in named.items() if estimate is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return the estimates as JSON values."""
        return {"metric": self.metric} | {name: estimate.to_dict() for name, estimate in self.estimates.items()}


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The rows that have one level of one column, and every metric on them."""

    column: str
    level: str
    rows: int
    positives: int | None
    comparisons: tuple[MetricComparison, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the slice and its comparisons as JSON values."""
        about = {"column": self.column, "level": self.level, "rows": self.rows, "positives": self.positives}
        return about | {"comparisons": [comparison.to_dict() for comparison in self.comparisons]}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything measured on one test window. `confusion`: rows by model and cell, which of several `classes` is the number of
    the actual and of the predicted one, "0,2"."""

    task: Task
    level: float
    threshold: float | None
    rows: int
    units: int
    positives: int | None
    overall: tuple[MetricComparison, ...]
    slices: tuple[Slice, ...]
    confusion: Mapping[str, Mapping[str, int]]
    curves: Curves
    classes: tuple[str, ...] = ()

    @property
    def has_champion(self) -> bool:
        """Whether the candidate was compared with a champion."""
        return any(result.champion is not None for result in self.overall)

    def comparison(self, metric: str) -> MetricComparison | None:
        """The metric on all rows, or None when it was not measured."""
        return next((result for result in self.overall if result.metric == metric), None)

    def slice_table(self) -> pl.DataFrame:
        """One row per level: column, level, rows, positives, and <metric>_<model>[_low|_high] columns."""
        return pl.DataFrame([_flat(part) for part in self.slices], infer_schema_length=None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; an undefined number is null and its `note` says why."""
        return {
            "task": self.task,
            "level": self.level,
            "threshold": self.threshold,
            "rows": self.rows,
            "units": self.units,
            "positives": self.positives,
            "overall": [comparison.to_dict() for comparison in self.overall],
            "slices": [part.to_dict() for part in self.slices],
            "confusion": {model: dict(counts) for model, counts in self.confusion.items()},
            "curves": self.curves.to_dict(),
            **({"classes": list(self.classes)} if self.classes else {}),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Evaluation":
        """Read what `to_dict` returned; null is undefined again."""
        parts = [Slice(**{**part, "comparisons": tuple(map(_comparison, part["comparisons"]))}) for part in value["slices"]]
        overall = tuple(map(_comparison, value["overall"]))
        read = {"overall": overall, "slices": tuple(parts), "curves": Curves.from_dict(value["curves"])}
        return cls(**{**value, **read, "classes": tuple(value.get("classes", ()))})

    def summary_markdown(self) -> str:
        """Tables a person reads, for the Dagster UI and for comments on a pull request."""
        parts = [_overall_markdown(self), _about(self)]
        return "\n\n".join(parts + ([_slices_markdown(self)] if self.slices else []))


def _comparison(value: Mapping[str, Any]) -> MetricComparison:
    estimates = {name: Estimate.from_dict(estimate) for name, estimate in value.items() if name != "metric"}
    return MetricComparison(metric=value["metric"], **estimates)


def _flat(part: Slice) -> dict[str, str | int | float | None]:
    row: dict[str, str | int | float | None] = {
        "column": part.column,
        "level": part.level,
        "rows": part.rows,
        "positives": part.positives,
    }
    for comparison in part.comparisons:
        for model, estimate in comparison.estimates.items():
            row[f"{comparison.metric}_{model}"] = finite_or_none(estimate.value)
            row[f"{comparison.metric}_{model}_low"] = finite_or_none(estimate.low)
            row[f"{comparison.metric}_{model}_high"] = finite_or_none(estimate.high)
    return row


def _overall_markdown(evaluation: Evaluation) -> str:
    names = list(evaluation.overall[0].estimates)
    rows = [
        [f"{comparison.metric} ({_ARROWS[METRICS[comparison.metric].best]})", *map(_cell, names, comparison.estimates.values())]
        for comparison in evaluation.overall
    ]
    return _table(["metric", *names], rows)


def _slices_markdown(evaluation: Evaluation) -> str:
    metric, names = evaluation.overall[0].metric, list(evaluation.overall[0].estimates)
    rows = [
        [f"{part.column} = {code(part.level)}", f"{part.rows:,}", *map(_cell, names, part.comparisons[0].estimates.values())]
        for part in evaluation.slices[:_SHOWN_SLICES]
    ]
    hidden = len(evaluation.slices) - len(rows)
    more = f"\n\n{hidden} more slices are in the evaluation." if hidden else ""
    return _table([f"{metric} by slice", "rows", *names], rows) + more


def _about(evaluation: Evaluation) -> str:
    positives = "" if evaluation.positives is None else f", {evaluation.positives:,} positive"
    positives += f", {len(evaluation.classes)} classes" if evaluation.classes else ""
    champion = "" if evaluation.has_champion else " There is no champion: a first release."
    return (
        f"{evaluation.rows:,} rows{positives}, {evaluation.units:,} independent units; "
        f"in brackets the {evaluation.level:.0%} interval.{champion}"
    )


def _cell(name: str, estimate: Estimate) -> str:
    sign = "+" if name == "difference" else ""
    value, low, high = (
        "undefined" if number is None else f"{number:{sign}.4f}"
        for number in map(finite_or_none, (estimate.value, estimate.low, estimate.high))
    )
    return value if low == "undefined" else f"{value} [{low}, {high}]"


def _table(header: list[str], rows: list[list[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in [header, ["---"] * len(header), *rows]]
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)
