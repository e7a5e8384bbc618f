"""Histograms of a partition's columns, taken in one pass. Those of several partitions can be added: their bins do not depend
on data.

Numbers are counted in bins whose width is a power of 2 and that begin at a multiple of it, so two partitions with bins of
different width share the wider ones. Everything else is counted by level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.errors import MlAssetsError

BINS = 1024
"""Bins between the first and the ninety-ninth percentile of a partition's numbers, about."""
REACH = 8
"""How many times that range there are bins on both sides of it; what lies beyond is counted in the last one."""
SAMPLE = 4096
"""Rows, evenly spaced, that decide the width of the bins."""
LARGEST = 1e150
"""Numbers beyond are counted with it."""
LEAST = 2.0**-900
"""Numbers closer to 0, and spans shorter, count as this."""
PRECISION = 52
"""Bits of a number: bins are not finer than it can say, so their numbers are integers."""
BLOCK = 65_536
"""Rows that are counted at once: they stay in the processor's cache."""
LEVELS = 1000
"""Levels that are kept of a column, the most frequent; the others are counted together."""


class NotCountable(MlAssetsError):
    """A column that has no histogram."""


@dataclass(frozen=True)
class NumberBins:
    """Rows by bin: bin k holds [k, k+1) · 2^exponent. `bins` ascend; `missing` are null or NaN."""

    exponent: int
    bins: Ints
    counts: Ints
    missing: int
    kind: Literal["numbers"] = "numbers"

    @property
    def rows(self) -> int:
        """The number of rows, missing values included."""
        return int(self.counts.sum()) + self.missing


@dataclass(frozen=True)
class Levels:
    """Rows by level, most frequent first; `other` are those of levels that are not kept."""

    levels: tuple[str, ...]
    counts: Ints
    other: int
    missing: int
    kind: Literal["levels"] = "levels"

    @property
    def rows(self) -> int:
        """The number of rows, other levels and missing values included."""
        return int(self.counts.sum()) + self.other + self.missing


Histogram = NumberBins | Levels
Histograms = Mapping[str, Histogram]
"""By column."""


def count(frame: pl.DataFrame, columns: Sequence[str] | None = None) -> dict[str, Histogram]:
    """The histogram of each column, or of those that are named. Times are counted by their hour of the day. Raises
    NotCountable."""
    return {name: histogram(frame[name]) for name in (frame.columns if columns is None else columns)}


def is_countable(dtype: pl.DataType) -> bool:
    """Whether a column of this type has a histogram."""
    return dtype.is_numeric() or dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) or isinstance(dtype, pl.Datetime)


def histogram(series: pl.Series) -> Histogram:
    """The histogram of one column. Raises NotCountable."""
    if isinstance(series.dtype, pl.Datetime):
        series = series.dt.hour()
    if series.dtype.is_numeric():
        return _numbers(series)
    if series.dtype not in (pl.String, pl.Boolean, pl.Categorical, pl.Enum):
        raise NotCountable(f"column {series.name}: {series.dtype} has no histogram; drop it or make it a number")
    counts = series.value_counts(sort=False, name="rows")
    known = counts.select(level=pl.col(series.name).cast(pl.String), rows="rows").drop_nulls()
    known = known.sort(["rows", "level"], descending=[True, False])
    kept, missing = known.head(LEVELS), series.null_count()
    other = len(series) - missing - int(kept["rows"].sum())
    return Levels(tuple(kept["level"]), kept["rows"].to_numpy().astype(np.int64), other, missing)


def _numbers(series: pl.Series) -> NumberBins:
    values = series.drop_nulls().cast(pl.Float64).to_numpy()
    if series.dtype.is_float() and np.isnan(values.min(initial=0.0)):
        values = values[~np.isnan(values)]
    missing = len(series) - values.size
    if values.size == 0:
        return NumberBins(0, np.empty(0, np.int64), np.empty(0, np.int64), missing)
    exponent, first, size = _grid(values)
    width = 2.0**exponent
    counts = np.zeros(size, np.int64)
    with np.errstate(over="ignore"):  # what is too large to divide lies in the last bin
        for start in range(0, values.size, BLOCK):
            places = values[start : start + BLOCK] / width
            places -= first
            np.clip(places, 0, size - 1, out=places)
            counts += np.bincount(places.astype(np.intp), minlength=size)
    there = np.flatnonzero(counts)
    return NumberBins(exponent, there + first, counts[there], missing)


def _grid(values: Floats) -> tuple[int, int, int]:
    """The exponent of the width, the first bin and their number."""
    sample = values[:: max(1, values.size // SAMPLE)]
    sample = np.clip(sample[np.isfinite(sample)], -LARGEST, LARGEST)
    if sample.size == 0:
        return 0, 0, 1
    low, middle, high = np.quantile(sample, [0.01, 0.5, 0.99], method="inverted_cdf")
    span = float(high - low) or float(sample.max() - sample.min())
    if not 0 < span < np.inf:
        span = max(abs(float(middle)) * 2.0**-20, 2.0**-40)
    span, size = max(span, LEAST), max(abs(float(middle)), LEAST)
    exponent = max(int(np.ceil(np.log2(span / BINS))), int(np.ceil(np.log2(size))) - PRECISION)
    if exponent < 0 and np.array_equal(sample, np.rint(sample)):
        exponent = 0  # whole numbers, each with a bin of its own
    at, reach = int(np.floor(middle / 2.0**exponent)), REACH * BINS
    return exponent, at - reach, 2 * reach
