"""Bins that several partitions are compared in: deciles of the history with open ends, its most frequent levels; and the tests.

Of each column: its distribution, and each against all others: what is missing, what the history never had, what it has most
often.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml_assets.core.drift.histograms import Histogram, Levels, NumberBins
from ml_assets.core.metrics.arrays import Floats, Ints

TOP = 20
"""Levels with a bin of their own."""
LEAST_FREQUENT = 0.05
"""A number that is most frequent has a test only if the history has it in this share of its rows."""
DENSE = 1 << 17
"""Bins between the least and the greatest, below which a flag for each is cheaper than sorting."""
About = Literal["distribution", "missing", "unseen", "most frequent"]
LOWER, HIGHER, OTHER, UNSEEN, MISSING = "(lower)", "(higher)", "(other)", "(never seen)", "(missing)"


@dataclass(frozen=True)
class Binned:
    """A column of T partitions in common bins. `rows` (T, bins); `labels` name the bins, the last of which is what is missing.
    `most_frequent` (T,) are the rows of the history's most frequent value, which lies in the bin `frequent`; None where no
    number is frequent. `medians` (T,) of numbers, None of levels."""

    rows: Floats
    labels: tuple[str, ...]
    frequent: int
    most_frequent: Floats | None
    medians: Floats | None


@dataclass(frozen=True)
class Test:
    """One comparison of a column; `labels` name its bins."""

    column: str
    about: About
    labels: tuple[str, ...]


def binned(histograms: Sequence[Histogram | None], history: int) -> Binned:
    """The column of several partitions, the first `history` of which decide on the bins. None: the partition lacks the column, so
    all of it is missing. What is of another kind than the history was never seen."""
    kinds = Counter(histogram.kind for histogram in histograms[:history] if histogram is not None)
    if kinds and kinds.most_common(1)[0][0] == "numbers":
        return _binned_numbers(histograms, history)
    return _binned_levels(histograms, history)


def tests_of(column: str, of: Binned, *, is_pair: bool) -> tuple[list[Test], Floats]:
    """The tests of a column, and the rows (T, bins) of all of them side by side. Of a pair of columns, how one is beside the
    other where both are known: what is missing is each one's own."""
    if is_pair:
        return [Test(column, "distribution", of.labels[:-1])], of.rows[:, :-1]
    tests, blocks = [Test(column, "distribution", of.labels)], [of.rows]
    total = of.rows.sum(axis=1)
    pairs: list[tuple[About, Floats]] = [("missing", of.rows[:, -1])]
    if of.medians is None:  # numbers go a little beyond their range with every season
        pairs.append(("unseen", of.rows[:, -2]))
    label = of.labels[of.frequent]
    if of.most_frequent is not None:
        pairs.append(("most frequent", of.most_frequent))
    for about, rows in pairs:
        name = {"missing": MISSING, "unseen": UNSEEN}.get(about, label)
        tests.append(Test(column, about, (name, f"not {name}")))
        blocks.append(np.stack([rows, total - rows], axis=1))
    return tests, np.concatenate(blocks, axis=1)


def _binned_numbers(histograms: Sequence[Histogram | None], history: int) -> Binned:
    numbers = [histogram if isinstance(histogram, NumberBins) else None for histogram in histograms]
    exponent = max((histogram.exponent for histogram in numbers if histogram is not None and histogram.counts.size), default=0)
    empty = np.empty(0, np.int64)
    bins = [_coarser(part, exponent) if part and part.counts.size else empty for part in numbers]
    sizes = [len(values) for values in bins]
    owner = np.repeat(np.arange(len(bins)), sizes)
    counts = np.concatenate([part.counts if part and part.counts.size else empty for part in numbers]).astype(float)
    values, place = _distinct(np.concatenate(bins))
    size = max(values.size, 1)
    flat = np.bincount(owner * size + place, weights=counts, minlength=len(bins) * size)
    fine: Floats = flat.reshape(len(bins), size).astype(np.float64, copy=False)
    past, reached = fine[:history].sum(axis=0), fine.cumsum(axis=1)
    edges = _edges(values, past)
    group = np.searchsorted(edges, values, side="left")
    rows = np.zeros((len(bins), edges.size + 2))
    if values.size:
        ends = np.append(np.flatnonzero(group[1:] != group[:-1]), values.size - 1)
        rows[:, group[ends]] = np.diff(reached[:, ends], axis=1, prepend=0.0)  # whole numbers: exact
    for number, histogram in enumerate(histograms):
        rows[number, -1] = histogram.missing if histogram is not None else 0
        if isinstance(histogram, Levels):
            rows[number, -2] = histogram.rows - histogram.missing
    width = 2.0**exponent
    labels: tuple[str, ...] = (LOWER, *(f"≤ {(edge + (exponent != 0)) * width:.4g}" for edge in edges[1:]), HIGHER, MISSING)
    if edges.size == 0:
        labels = ("(any)", MISSING)
    top = int(past.argmax())
    is_frequent = past[top] >= LEAST_FREQUENT * past.sum() > 0
    return Binned(
        rows,
        labels,
        frequent=int(group[top]) if is_frequent else 0,
        most_frequent=fine[:, top] if is_frequent else None,
        medians=_medians((values * width).astype(np.float64), reached),
    )


def _coarser(histogram: NumberBins, exponent: int) -> Ints:
    """Its bins at the width of the widest one."""
    shift = exponent - histogram.exponent
    return histogram.bins >> min(shift, 62) if shift else histogram.bins


def _distinct(bins: Ints) -> tuple[Ints, Ints]:
    """The different values in order, and the place of each among them: without sorting where they lie close together."""
    if bins.size == 0 or (least := int(bins.min())) + DENSE < int(bins.max()):
        values, place = np.unique(bins, return_inverse=True)
        return values, place.ravel()
    is_there = np.zeros(int(bins.max()) - least + 1, dtype=bool)
    is_there[bins - least] = True
    return np.flatnonzero(is_there) + least, (np.cumsum(is_there) - 1)[bins - least]


def _edges(values: Ints, past: Floats) -> Ints:
    """Upper edges of the bins: one below the least value of the history, then its deciles, the last of which is its greatest."""
    total = past.sum()
    if total == 0:
        return values[:0]
    reached = np.cumsum(past)
    deciles = np.searchsorted(reached, total * np.linspace(0.1, 1.0, 10) * (1 - 1e-12))
    least = values[np.flatnonzero(past)[0]] - 1
    return np.unique(np.append(values[deciles], least))


def _medians(values: Floats, reached: Floats) -> Floats:
    """The median of each partition; `reached` counts its rows up to each value, (T, values)."""
    if values.size == 0:
        return np.full(len(reached), np.nan)
    middle = (reached < reached[:, -1:] / 2).sum(axis=1)
    return np.where(reached[:, -1] > 0, values[np.minimum(middle, values.size - 1)], np.nan)


def _binned_levels(histograms: Sequence[Histogram | None], history: int) -> Binned:
    past: dict[str, int] = {}
    for histogram in histograms[:history]:
        if isinstance(histogram, Levels):
            for level, count in zip(histogram.levels, histogram.counts.tolist(), strict=True):
                past[level] = past.get(level, 0) + count
    top = [level for level, _ in sorted(past.items(), key=lambda item: (-item[1], item[0]))[:TOP]]
    places = dict.fromkeys(past, len(top)) | {level: number for number, level in enumerate(top)}
    rows = np.zeros((len(histograms), len(top) + 3))
    for number, histogram in enumerate(histograms):
        if histogram is None:
            continue
        rows[number, -1] = histogram.missing
        if isinstance(histogram, NumberBins):
            rows[number, -2] = histogram.rows - histogram.missing
            continue
        for level, count in zip(histogram.levels, histogram.counts.tolist(), strict=True):
            rows[number, places.get(level, len(top) + 1)] += count
        rows[number, len(top)] += histogram.other
    labels = (*top, OTHER, UNSEEN, MISSING)
    first = rows[:, 0] if top else None
    return Binned(rows, labels, frequent=0, most_frequent=first, medians=None)
