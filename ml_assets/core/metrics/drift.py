"""The reference profile of a release, and how far new rows have moved from it. Histograms only.

A drift report informs; it lets nothing pass and blocks nothing by itself. (GATES.md)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.metrics.arrays import Column, Floats
from ml_assets.errors import MlAssetsError

BINS = 10
TOP_LEVELS = 20
FLOOR = 1e-4  # the least share of a bin in PSI: keeps an empty bin finite
OTHER, MISSING = "(other)", "(missing)"


class DriftError(MlAssetsError):
    """Rows that cannot be profiled or compared with a profile."""


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """`columns`: column, kind, psi, js, one row per profiled column, most drifted first."""

    columns: pl.DataFrame
    score_psi: float
    score_js: float
    rows: int

    def above(self, limit: float) -> list[str]:
        """The columns whose PSI is not known to be within the limit."""
        return [name for name, psi in self.columns.select("column", "psi").iter_rows() if not psi <= limit]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; every number is finite."""
        about = {"rows": self.rows, "score_psi": self.score_psi, "score_js": self.score_js}
        return about | {"columns": self.columns.to_dicts()}


def profile(frame: pl.DataFrame, scores: Column) -> dict[str, Any]:
    """Shares of each column and of the score, JSON-able. Numbers in quantile bins, the rest by level.

    Scores are numbers or, of several classes, the most probable class of each row. They may be of other rows than the frame's:
    those that the model had not seen say best how it answers.
    """
    _check_rows(frame.height, "reference")
    columns = {series.name: _column_profile(series) for series in frame.iter_columns()}
    return {"rows": frame.height, "columns": columns, "score": _column_profile(_score(scores, max(1, len(scores))))}


def drift(reference: Mapping[str, Any], frame: pl.DataFrame, scores: Column) -> DriftReport:
    """Compare new rows with a profile; a profiled column that is not there is an error."""
    _check_rows(frame.height, "current")
    if absent := [name for name in reference["columns"] if name not in frame.columns]:
        raise DriftError(f"columns {absent} are in the reference profile but not in the current rows")
    rows = [_row(name, about, shares(about, frame[name])) for name, about in reference["columns"].items()]
    schema = {"column": pl.String, "kind": pl.String, "psi": pl.Float64, "js": pl.Float64}
    score = _row("score", reference["score"], shares(reference["score"], _score(scores, frame.height)))
    return DriftReport(
        columns=pl.DataFrame(rows, schema=schema).sort(["psi", "column"], descending=[True, False]),
        score_psi=score["psi"],
        score_js=score["js"],
        rows=frame.height,
    )


def shares(about: Mapping[str, Any], series: pl.Series) -> list[float]:
    """The share of rows in each bin of a profiled column, in the order of its profile."""
    if about["kind"] == "number":
        return _number_shares(_numbers(series), np.asarray(about["edges"]))
    return _category_shares(series, about["levels"])


def psi(expected: Floats, actual: Floats) -> float:
    """Population stability index, sum of (a - e) ln(a / e), shares floored at 1e-4."""
    e, a = np.maximum(expected, FLOOR), np.maximum(actual, FLOOR)
    return float(np.sum((a - e) * np.log(a / e)))


def js(expected: Floats, actual: Floats) -> float:
    """Jensen-Shannon distance in base 2: 0 for the same shares, 1 for disjoint ones."""
    middle = (expected + actual) / 2
    total = 0.0
    for side in (expected, actual):
        seen = side > 0
        total += float(np.sum(side[seen] * np.log2(side[seen] / middle[seen])))
    return float(np.sqrt(np.clip(total / 2, 0, 1)))


def _row(name: str, about: Mapping[str, Any], current: list[float]) -> dict[str, Any]:
    expected, actual = np.asarray(about["shares"]), np.asarray(current)
    return {"column": name, "kind": about["kind"], "psi": psi(expected, actual), "js": js(expected, actual)}


def _column_profile(series: pl.Series) -> dict[str, Any]:
    if series.dtype.is_numeric():
        values = _numbers(series)
        edges = _edges(values[np.isfinite(values)])
        return {"kind": "number", "edges": edges.tolist(), "shares": _number_shares(values, edges)}
    if series.dtype not in (pl.String, pl.Boolean, pl.Categorical, pl.Enum):
        raise DriftError(f"column {series.name}: {series.dtype} has no profile; drop it or make it a number")
    counts = series.cast(pl.String).drop_nulls().value_counts().sort(["count", series.name], descending=[True, False])
    levels = counts[series.name].head(TOP_LEVELS).to_list()
    return {"kind": "category", "levels": levels, "shares": _category_shares(series, levels)}


def _edges(values: Floats) -> Floats:
    """Inner edges at the deciles, with one just below the least and one at the greatest value.

    So a value outside the reference's range has a bin of its own, also where the reference is constant.
    """
    if values.size == 0:
        return values
    inner = np.quantile(values, np.linspace(0, 1, BINS + 1), method="inverted_cdf")
    return np.unique(np.append(inner[1:], np.nextafter(inner[0], -np.inf)))


def _number_shares(values: Floats, edges: Floats) -> list[float]:
    present = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=edges.size + 1)
    return [float(count / values.size) for count in (*counts, values.size - present.size)]


def _category_shares(series: pl.Series, levels: list[str]) -> list[float]:
    counts = dict(series.cast(pl.String).drop_nulls().value_counts().iter_rows())
    level_counts = [counts.get(level, 0) for level in levels]
    missing = series.null_count()
    return [count / len(series) for count in (*level_counts, len(series) - sum(level_counts) - missing, missing)]


def _numbers(series: pl.Series) -> Floats:
    try:
        return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    except pl.exceptions.PolarsError as error:
        raise DriftError(f"column {series.name}: the profile has numbers, the rows {series.dtype}") from error


def _score(scores: Column, rows: int) -> pl.Series:
    series = pl.Series("score", scores)
    if series.dtype == pl.String:  # the most probable class of each row
        if len(series) != rows or series.null_count():
            raise DriftError(f"score: needs {rows} classes, one per row, got {len(series) - series.null_count()}")
        return series
    series = series.cast(pl.Float64)
    if len(series) != rows or not np.isfinite(_numbers(series)).all():
        raise DriftError(f"score: needs {rows} finite values, one per row, got {len(series)}")
    return series


def _check_rows(rows: int, which: str) -> None:
    if rows == 0:
        raise DriftError(f"no {which} rows: an empty frame has no distribution")
