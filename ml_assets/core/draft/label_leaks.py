"""Columns that tell the label so well that they were probably written after it, and columns that cannot be known before it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ml_assets.core.draft.columns import SourceColumn
from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.binary import roc_auc
from ml_assets.spec.tasks import TASKS, Task

CANNOT_BE_KNOWN = 0.99
"""From here on, of the ROC AUC or the R2 of the column alone, it is drafted as an outcome."""
SUSPICIOUS = 0.9
"""From here on it is named, and stays an input."""
MOST_ROWS = 200_000
SHARE_OF_SUM = 0.01
LATER_SHARE = 0.9
BINS = 64


@dataclass(frozen=True)
class ColumnSeparation:
    """How well one column alone tells the label on rows that it was not fitted to: ROC AUC (binary; of several classes the mean
    of each one against the rest) or R2 (regression)."""

    column: str
    value: float
    metric: str


def separations_of(columns: Iterable[SourceColumn], target: pl.Series, *, task: Task) -> list[ColumnSeparation]:
    """The separation by each column alone, largest first. `target` (rows,) has numbers, null where the label is not known."""
    metric = "ROC AUC" if TASKS[task].is_classifier else "R2"
    rows = _sampled(target)
    y = target.gather(rows).to_numpy()
    separations = [
        ColumnSeparation(c.name, _separation(c.values.gather(rows), y, task=task), metric) for c in columns if c.kind != "time"
    ]
    return sorted(separations, key=lambda separation: -separation.value)


FEW_MISSING = 20
"""Fewer rows without a value say nothing of when it is known: a line of totals at the end of a file is one."""


def outcomes(
    columns: Sequence[SourceColumn],
    *,
    label: SourceColumn,
    time: SourceColumn | None,
    separations: Sequence[ColumnSeparation],
    target: pl.Series,
) -> dict[str, str]:
    """The reason by name of each column that nobody can know when the question is asked."""
    reasons: dict[str, str] = {}
    for column in columns:
        if time is not None and column.kind == "time" and (share := _later_share(column, time)) >= LATER_SHARE:
            reasons[column.name] = f"it is later than {time.name} in {share:.1%} of rows"
        elif column.missing >= FEW_MISSING and column.values.is_null().equals(label.values.is_null().alias(column.name)):
            reasons[column.name] = f"it is missing in just the rows in which {label.name} is"
    for separation in separations:
        if separation.value >= CANNOT_BE_KNOWN:
            reasons.setdefault(separation.column, f"it alone tells {label.name} with {separation.metric} {separation.value:.3f}")
    numbers = [column for column in columns if column.is_number and column.name not in reasons]
    for name in _parts_of_a_sum(numbers, target):
        reasons[name] = f"{label.name} is a sum of {', '.join(_parts_of_a_sum(numbers, target))}"
    return reasons


def suspicious(separations: Sequence[ColumnSeparation], outcome_names: Mapping[str, str]) -> list[ColumnSeparation]:
    """Columns that stay inputs, and tell the label better than inputs usually do."""
    return [
        separation
        for separation in separations
        if SUSPICIOUS <= separation.value < CANNOT_BE_KNOWN and separation.column not in outcome_names
    ]


def _separation(values: pl.Series, y: Floats, *, task: Task) -> float:
    if task == "multiclass":
        return float(np.mean([_separation(values, np.equal(y, k).astype(np.float64), task="binary") for k in np.unique(y)]))
    return _halved(values, y, task=task)


def _halved(values: pl.Series, y: Floats, *, task: Task) -> float:
    """The rows are halved at every second one: levels or bins of one half, with their mean label, score the other."""
    codes = _codes(values)
    even = np.arange(y.size) % 2 == 0
    if np.unique(codes[even]).size < 2 or not 0 < even.sum() < y.size:
        return 0.5 if task == "binary" else 0.0
    sums = np.bincount(codes[even], weights=y[even], minlength=int(codes.max()) + 1)
    counts = np.bincount(codes[even], minlength=sums.size)
    mean = float(y[even].mean())
    scores = ((sums + mean) / (counts + 1))[codes[~even]]
    rest = y[~even]
    if task == "binary":
        return float(roc_auc(rest, scores)) if 0 < rest.sum() < rest.size else 0.5
    spread = float(np.square(rest - rest.mean()).sum())
    return 1 - float(np.square(rest - scores).sum()) / spread if spread > 0 else 0.0


def _codes(values: pl.Series) -> np.ndarray:
    """A level or a bin for each value; missing ones have their own."""
    if values.dtype.is_numeric() and values.n_unique() > BINS:
        edges = np.unique(
            np.nanquantile(values.cast(pl.Float64).fill_null(float("nan")).to_numpy(), np.linspace(0, 1, BINS + 1)[1:-1])
        )
        binned = np.searchsorted(edges, values.cast(pl.Float64).fill_null(0.0).to_numpy())
        return np.where(values.is_null().to_numpy(), edges.size + 1, binned).astype(np.int64)
    return values.cast(pl.String).fill_null("(missing)").rank("dense").cast(pl.Int64).to_numpy()


def _sampled(target: pl.Series) -> pl.Series:
    """The numbers of the rows with a label, at most MOST_ROWS of them, evenly."""
    rows = target.is_not_null().arg_true()
    return rows.gather_every(max(1, len(rows) // MOST_ROWS + (len(rows) % MOST_ROWS > 0)) if len(rows) > MOST_ROWS else 1)


def _later_share(column: SourceColumn, time: SourceColumn) -> float:
    both = pl.DataFrame({"value": column.values, "time": time.values}).drop_nulls()
    return float((both["value"] > both["time"]).mean() or 0.0) if both.height else 0.0  # type: ignore[arg-type]


def _parts_of_a_sum(columns: Sequence[SourceColumn], target: pl.Series) -> list[str]:
    """The columns whose weighted sum is the label, exactly: a count and its parts, a total and its items."""
    rows = _sampled(target)
    whole = [column for column in columns if not column.values.gather(rows).null_count()]
    if len(whole) < 2 or len(rows) < 10 * (len(whole) + 1):
        return []
    raw = np.column_stack([column.values.gather(rows).cast(pl.Float64).to_numpy() for column in whole])
    y = target.gather(rows).to_numpy()
    largest = np.abs(raw).max(axis=0)
    raw = raw / np.where(largest > 0, largest, 1.0)  # a square of 1e300 is not a number
    deviation = raw.std(axis=0)
    x = np.column_stack([np.ones(y.size), (raw - raw.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)])
    weights, *_ = np.linalg.lstsq(x, y, rcond=None)
    left = float(np.abs(y - x @ weights).max())
    if left > 1e-6 * max(float(y.std()), 1e-12):
        return []
    return [c.name for c, weight in zip(whole, weights[1:], strict=True) if abs(weight) > SHARE_OF_SUM * float(y.std())]
