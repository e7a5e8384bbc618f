"""How well each column alone tells the label, within units: what makes a whole day good or bad, as its weather, is not in it.

Belongs here: the measurement of one partition. Does not: whether it is too much (judging.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
import polars as pl

from ml_assets.core.metrics.arrays import Floats, Ints

LEAST_PER_COLUMN = 20
"""Labelled rows for each column, below which what the others do not explain is noise."""
RIDGE = 1e-3
"""Added to the correlations' diagonal: some columns are computed from others."""
LEAST_WITHIN = 0.5
"""The share of the rows that has to be in units with both labels; else all rows are taken as one unit."""


@dataclass(frozen=True)
class UnitSeparation:
    """The AUC of a column for the label minus 0.5, from -0.5 to 0.5, on average over units: of its values, and of what the other
    columns do not explain of them (`rest`); each with its standard error."""

    value: float
    error: float
    rest: float
    rest_error: float


def separations(numbers: Mapping[str, Floats], truth: Floats, units: Ints) -> dict[str, UnitSeparation]:
    """The separation by each column. `numbers` (n,) by name and `truth` (n,) are ranks from 0 to 1, NaN where a value is missing;
    `units` (n,): codes. Nothing where too few labels are known, or they are all alike."""
    known = ~np.isnan(truth)
    if known.sum() < LEAST_PER_COLUMN * max(len(numbers), 1) or np.ptp(truth[known]) == 0:
        return {}
    centred = np.column_stack([np.nan_to_num(values[known] - 0.5) for values in numbers.values()])
    spread = centred.std(axis=0)
    names = [name for name, deviation in zip(numbers, spread, strict=True) if deviation > 0]
    if not names:
        return {}
    centred = centred[:, spread > 0] / spread[spread > 0]
    correlation = centred.T @ centred / len(centred) + RIDGE * np.eye(len(names))
    is_later = truth[known] > np.median(truth[known])
    if len(np.unique(truth[known])) <= 2 or not is_later.any():  # more than half of the labels may be the last class
        is_later = truth[known] > truth[known].min()
    of_values = _within(centred, is_later, units[known])
    of_rests = _within(centred @ np.linalg.inv(correlation), is_later, units[known])
    measured = zip(names, *of_values, *of_rests, strict=True)
    return {name: UnitSeparation(*(float(number) for number in numbers_)) for name, *numbers_ in measured}


def _within(columns: Floats, is_later: "np.ndarray", units: Ints) -> tuple[Floats, Floats]:
    """By column of (n, columns) the AUC minus 0.5 within units, weighted by their pairs of rows, and its standard error."""
    counts = _counts(is_later, units)
    both = counts.filter(pl.col("later").is_between(1, pl.col("rows") - 1))
    if both["rows"].sum() < LEAST_WITHIN * units.size:
        units = np.zeros(units.size, dtype=np.int64)
        both = _counts(is_later, units)
    ranked = pl.DataFrame(columns, schema=[f"{place}" for place in range(columns.shape[1])]).with_columns(
        unit=units, later=is_later
    )
    sums = ranked.with_columns(pl.exclude("unit", "later").rank("average").over("unit")).filter("later").group_by("unit").sum()
    sums = both.select("unit").join(sums, on="unit", how="left", maintain_order="left")
    later, rows = (both[name].to_numpy().astype(float)[:, None] for name in ("later", "rows"))
    pairs = later * (rows - later)
    areas = (sums.drop("unit", "later").to_numpy() - later * (later + 1) / 2) / pairs - 0.5
    mean = (pairs * areas).sum(axis=0) / pairs.sum()
    if len(pairs) == 1:  # the error of ranks that know nothing, as there is no second unit to learn it from
        return mean, np.full(mean.size, sqrt((rows[0, 0] + 1) / (12 * pairs[0, 0])))
    spread = (pairs**2 * (areas - mean) ** 2).sum(axis=0) * len(pairs) / (len(pairs) - 1)
    return mean, np.sqrt(spread) / pairs.sum()


def _counts(is_later: "np.ndarray", units: Ints) -> pl.DataFrame:
    """By unit the number of rows, and of those whose label is among the later ones."""
    frame = pl.DataFrame({"unit": units, "later": is_later})
    return frame.group_by("unit").agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("later").sum().cast(pl.Int64)).sort("unit")
