"""The summary of a partition that later ones are judged by: its histograms, how its columns go together, and with the label.

Relations are between ranks, so they do not move with the columns' own distributions: numbers are cut into five equal parts by
their own ranks, and the rows of each pair of columns are counted in the 25 cells.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.drift.column_orders import orders
from ml_assets.core.drift.histogram_json import from_json, to_json
from ml_assets.core.drift.histograms import Histograms, count, is_countable
from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.plausibility.separation import UnitSeparation, separations

PARTS = 5
ROWS = 50_000
"""Rows, evenly spaced, that relations are measured on."""
COLUMNS = 40
"""Columns of numbers whose relations are measured, the first by name: pairs grow with the square."""


@dataclass(frozen=True)
class Summary:
    """`pairs` names the rows of `cells` (pairs, 25), counts by cell. `orders`: which of two columns is the larger one.
    `separation`: by column, how well it tells the label. `repeated`: share of rows that equal another one in everything but the
    key."""

    rows: int
    histograms: Histograms
    pairs: tuple[tuple[str, str], ...]
    cells: Ints
    orders: Histograms
    separation: Mapping[str, UnitSeparation]
    repeated: float

    def to_json(self) -> bytes:
        """Return the summary as JSON, without NaN."""
        about = {
            "rows": self.rows,
            "pairs": [list(pair) for pair in self.pairs],
            "cells": self.cells.tolist(),
            "separation": {name: list(astuple(measured)) for name, measured in self.separation.items()},
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
            {name: UnitSeparation(*numbers) for name, numbers in about["separation"].items()},
            about["repeated"],
        )


def summarise(
    frame: pl.DataFrame, *, key: Sequence[str], label: str, ignored: Sequence[str] = (), unit: pl.Series | None = None
) -> Summary:
    """The summary of rows that have a key, columns and a label. Of `ignored` columns there are histograms alone. `unit` (n,): the
    unit that each row is of; all are of one where None, and where each row is its own."""
    rest = frame.drop(key)
    counted = [name for name, dtype in rest.schema.items() if is_countable(dtype)]
    histograms = count(rest, counted)
    repeated = int(rest.drop(label).is_duplicated().sum()) / rest.height if rest.width > 1 and rest.height else 0.0
    step = max(1, -(-rest.height // ROWS))
    sample = rest.gather_every(step)
    numbers = {
        name: _as_numbers(sample[name]) for name in sorted({*counted} - {*ignored}) if name != label and _is_number(sample[name])
    }
    numbers = dict(list(numbers.items())[:COLUMNS])
    pairs = tuple(combinations(numbers, 2))
    ranked = {name: ranks(values) for name, values in numbers.items()}
    parts = {name: _parts(of_column) for name, of_column in ranked.items()}
    cells = np.array([_cells(parts[first], parts[second]) for first, second in pairs], dtype=np.int64)
    separation: dict[str, UnitSeparation] = {}
    if sample.height:
        codes = (
            np.zeros(sample.height, dtype=np.int64)
            if unit is None
            else unit.gather_every(step).rank("dense").fill_null(0).to_numpy()
        )
        separation = separations(ranked, _truth(sample[label]), codes)
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


def _parts(ranked: Floats) -> Ints:
    """The fifth that a value lies in by rank; PARTS where it is missing."""
    return np.where(np.isnan(ranked), PARTS, np.minimum(np.nan_to_num(ranked) * PARTS, PARTS - 1)).astype(np.int64)


def _cells(first: Ints, second: Ints) -> Ints:
    """How many rows have each pair of fifths, both known: (25,)."""
    every = np.bincount(first * (PARTS + 1) + second, minlength=(PARTS + 1) ** 2)
    return every.reshape(PARTS + 1, PARTS + 1)[:PARTS, :PARTS].ravel()


def _truth(label: pl.Series) -> Floats:
    return ranks(label.cast(pl.Float64).fill_null(float("nan")).to_numpy())
