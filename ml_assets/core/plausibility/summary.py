"""The summary of a partition that later ones are judged by: its histograms, how its columns go together, and with the label.

Relations are between ranks, so they do not move with the columns' own distributions: numbers are cut into five equal parts by
their own ranks, and the rows of each pair of columns are counted in the 25 cells.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.drift.column_orders import orders
from ml_assets.core.drift.histogram_json import from_json, to_json
from ml_assets.core.drift.histograms import Histograms, count, is_countable
from ml_assets.core.metrics.arrays import Floats, Ints

PARTS = 5
ROWS = 50_000
"""Rows, evenly spaced, that relations are measured on."""
COLUMNS = 40
"""Columns of numbers whose relations are measured, the first by name: pairs grow with the square."""


@dataclass(frozen=True)
class Summary:
    """`pairs` names the rows of `cells` (pairs, 25), counts by cell. `orders`: which of two columns is the larger one.
    `separation`: by column, by how much its values, given the other columns', are larger where the label is (|AUC - 0.5|, 0 to
    0.5). `repeated`: share of rows that equal another one in everything but the key."""

    rows: int
    histograms: Histograms
    pairs: tuple[tuple[str, str], ...]
    cells: Ints
    orders: Histograms
    separation: Mapping[str, float]
    repeated: float

    def to_json(self) -> bytes:
        """Return the summary as JSON, without NaN."""
        about = {
            "rows": self.rows,
            "pairs": [list(pair) for pair in self.pairs],
            "cells": self.cells.tolist(),
            "separation": dict(self.separation),
            "repeated": self.repeated,
        }
        counted = {"histograms": json.loads(to_json(self.histograms)), "orders": json.loads(to_json(self.orders))}
        return json.dumps({"about": about, **counted}, allow_nan=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Summary":
        """Read what `to_json` returned."""
        parsed = json.loads(content)
        about: Mapping[str, Any] = parsed["about"]
        return cls(
            about["rows"],
            from_json(json.dumps(parsed["histograms"]).encode()),
            tuple((first, second) for first, second in about["pairs"]),
            np.array(about["cells"], dtype=np.int64).reshape(-1, PARTS**2),
            from_json(json.dumps(parsed["orders"]).encode()),
            about["separation"],
            about["repeated"],
        )


def summarise(frame: pl.DataFrame, *, key: Sequence[str], label: str, ignored: Sequence[str] = ()) -> Summary:
    """The summary of rows that have a key, columns and a label. Of `ignored` columns there are histograms alone."""
    rest = frame.drop(key)
    counted = [name for name, dtype in rest.schema.items() if is_countable(dtype)]
    histograms = count(rest, counted)
    repeated = int(rest.drop(label).is_duplicated().sum()) / rest.height if rest.width > 1 and rest.height else 0.0
    sample = rest.gather_every(max(1, -(-rest.height // ROWS)))
    numbers = {
        name: _as_numbers(sample[name]) for name in sorted({*counted} - {*ignored}) if name != label and _is_number(sample[name])
    }
    numbers = dict(list(numbers.items())[:COLUMNS])
    pairs = tuple(combinations(numbers, 2))
    parts = {name: _parts(values) for name, values in numbers.items()}
    cells = np.array([_cells(parts[first], parts[second]) for first, second in pairs], dtype=np.int64)
    separation = _separation(numbers, sample[label]) if sample.height else {}
    return Summary(frame.height, histograms, pairs, cells.reshape(-1, PARTS**2), orders(numbers), separation, repeated)


def _is_number(series: pl.Series) -> bool:
    return series.dtype.is_numeric() or series.dtype == pl.Boolean or isinstance(series.dtype, pl.Datetime)


def _as_numbers(series: pl.Series) -> Floats:
    """Missing values as NaN; of a time, its hour of the day."""
    if isinstance(series.dtype, pl.Datetime):
        series = series.dt.hour()
    values: Floats = series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return values


def ranks(values: Floats) -> Floats:
    """From 0 to 1, equal values in the middle of theirs; NaN stays."""
    known = ~np.isnan(values)
    ranked = np.full(values.size, np.nan)
    if known.any():
        order = pl.Series(values[known]).rank("average").to_numpy()
        ranked[known] = (order - 0.5) / known.sum()
    return ranked


def _parts(values: Floats) -> Ints:
    """The fifth that a value lies in by rank; -1 where it is missing."""
    ranked = ranks(values)
    return np.where(np.isnan(ranked), -1, np.minimum(np.nan_to_num(ranked) * PARTS, PARTS - 1)).astype(np.int64)


def _cells(first: Ints, second: Ints) -> Ints:
    known = (first >= 0) & (second >= 0)
    return np.bincount(first[known] * PARTS + second[known], minlength=PARTS**2)


def _separation(numbers: Mapping[str, Floats], label: pl.Series) -> dict[str, float]:
    """Each column alone, and what of it the others do not explain (linearly, of ranks): the larger of both."""
    truth = ranks(label.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    known = ~np.isnan(truth)
    if known.sum() < MOST_PER_COLUMN * max(len(numbers), 1) or np.ptp(truth[known]) == 0:
        return {}
    centred = np.column_stack([np.nan_to_num(ranks(values)[known] - 0.5) for values in numbers.values()])
    spread = centred.std(axis=0)
    centred = centred[:, spread > 0] / spread[spread > 0]
    names = [name for name, deviation in zip(numbers, spread, strict=True) if deviation > 0]
    correlation = centred.T @ centred / len(centred) + RIDGE * np.eye(len(names))
    residual = centred @ np.linalg.inv(correlation)
    is_later = truth[known] > np.median(truth[known])
    if len(np.unique(truth[known])) <= 2 or not is_later.any():  # more than half of the labels may be the last class
        is_later = truth[known] > truth[known].min()
    return {
        name: max(_auc_from_half(centred[:, place], is_later), _auc_from_half(residual[:, place], is_later))
        for place, name in enumerate(names)
    }


MOST_PER_COLUMN = 20
"""Labelled rows for each column, below which what the others do not explain is noise."""
RIDGE = 1e-3
"""Added to the correlations' diagonal: some columns are computed from others."""


def _auc_from_half(values: Floats, is_positive: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    positives = int(is_positive.sum())
    total = pl.Series(values).rank("average").to_numpy()[is_positive].sum()
    area = (total - positives * (positives + 1) / 2) / (positives * (is_positive.size - positives))
    return float(abs(area - 0.5))
