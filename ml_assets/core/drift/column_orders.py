"""Which of two columns is the larger one, row by row: where that never changed, it says more than both columns alone."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from ml_assets.core.drift.histograms import Histogram, Levels, NumberBins
from ml_assets.core.metrics.arrays import Floats

NEVER = 0.01
"""The share of rows in which one column is smaller than the other, in no past partition more, so that it counts as a rule."""
SMALLER, EQUAL, LARGER = "<", "=", ">"
BESIDE = " beside "
INNER = (0.1, 0.9)
"""Columns whose inner eight tenths, over all past partitions, do not overlap are of different kinds: that one is larger is no
news."""


def orders(numbers: Mapping[str, Floats]) -> dict[str, Histogram]:
    """By "a beside b", for each pair of columns of the same rows: how often a is smaller, equal, larger; a NaN is missing."""
    return {name_of(first, second): _order(numbers[first], numbers[second]) for first, second in combinations(numbers, 2)}


def name_of(first: str, second: str) -> str:
    """The name of a pair's histogram."""
    return f"{first}{BESIDE}{second}"


def rules(past: Sequence[Mapping[str, Histogram]], pairs: Mapping[str, Histogram]) -> Iterator[str]:
    """The names of those pairs that are a rule: so in every past partition, although the columns overlap."""
    inner: dict[str, tuple[float, float]] = {}
    for name in {part for pair in pairs for part in pair.split(BESIDE)}:
        ranges = [_inner(shares[name]) for shares in past if name in shares]
        inner_ranges = [range_ for range_ in ranges if range_ is not None]
        if inner_ranges:
            inner[name] = (min(low for low, _ in inner_ranges), max(high for _, high in inner_ranges))
    for name in pairs:
        first, _, second = name.partition(BESIDE)
        if first not in inner or second not in inner:
            continue
        (low, high), (other_low, other_high) = inner[first], inner[second]
        known = [order[name] for order in past if name in order]
        if low <= other_high and other_low <= high and len(known) == len(past) and rule_of(known):
            yield name


def rule_of(known: Sequence[Histogram]) -> str:
    """The relation that never occurs in any of these partitions: the first column smaller, or larger; empty if both occur."""
    return next((side for side in (SMALLER, LARGER) if known and max(share_of(order, side) for order in known) <= NEVER), "")


def share_of(histogram: Histogram, side: str) -> float:
    """Of the rows that have both, the share in which the first column is so beside the second."""
    assert isinstance(histogram, Levels)
    counts = dict(zip(histogram.levels, histogram.counts.tolist(), strict=True))
    return float(counts.get(side, 0) / max(sum(counts.values()), 1))


def _order(first: Floats, second: Floats) -> Levels:
    smaller, larger, equal = (int(np.count_nonzero(side)) for side in (first < second, first > second, first == second))
    sides = [(smaller, SMALLER), (equal, EQUAL), (larger, LARGER)]
    counted = sorted((side for side in sides if side[0]), reverse=True)
    counts = np.array([number for number, _ in counted], dtype=np.int64)
    # what is missing is neither smaller nor larger nor equal
    return Levels(tuple(name for _, name in counted), counts, 0, first.size - smaller - larger - equal)


def _inner(numbers: Histogram) -> tuple[float, float] | None:
    """Between which values the inner eight tenths lie; None where there are no numbers."""
    if not isinstance(numbers, NumberBins) or not numbers.counts.size:
        return None
    reached = np.cumsum(numbers.counts) / numbers.counts.sum()
    low, high = (numbers.bins[int(np.searchsorted(reached, share))] * 2.0**numbers.exponent for share in INNER)
    return float(low), float(high)
