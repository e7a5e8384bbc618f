"""One measurement over the rows of several windows: the mean of what it is on each, so that no window is held against another.

Belongs here: which rows can be measured window by window, and the mean. Does not: the error of it (core.metrics.spread).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.metrics.intervals import Measured, Units

LEAST_UNITS = 5
"""A window with fewer units on these rows is not measured alone: too little would be held against its own mean."""


def by_window(windows: Ints | None, units: Units) -> list[Ints]:
    """The row numbers of each window, in order; none unless there are several that can be measured alone."""
    if windows is None:
        return []
    rows = [np.flatnonzero(windows == number) for number in np.unique(windows)]
    is_enough = len(rows) > 1 and all(np.unique(units.codes[index]).size >= LEAST_UNITS for index in rows)
    return rows if is_enough else []


def mean_over(windows: Sequence[Ints], measure: Callable[[Ints], Measured], units: Units) -> Measured:
    """The mean of what is measured on the rows of each window, weighted by rows. Undefined where it is on one of them."""
    value, parts, notes = 0.0, np.zeros(units.count), []
    for index in windows:
        one, weight = measure(index), index.size / units.codes.size
        value += weight * one.value
        parts[np.unique(units.codes[index])] += weight * one.parts
        notes += [one.note] if one.note else []
    return Measured(
        value=value,
        parts=parts,
        shares=units.shares,
        is_ordered=units.is_ordered,
        rows=units.codes.size,
        note="; ".join(dict.fromkeys(notes)),
        pooled=units_of_windows(windows, units),
    )


def units_of_windows(windows: Sequence[Ints], units: Units) -> tuple[int, ...]:
    """The number of units in each window; none where a unit is in two of them, or they are not in one order."""
    unit_codes = [np.unique(units.codes[index]) for index in windows]
    is_apart = all(one[-1] < other[0] for one, other in pairwise(unit_codes))
    return tuple(part.size for part in unit_codes) if unit_codes and is_apart else ()


def present_of(pooled: Sequence[int], present: "np.ndarray", sums: Floats) -> tuple[int, ...]:
    """The number of units in each window of those that are present; none where a window would be left with too few."""
    if not pooled or sums.size != sum(pooled):
        return ()
    counts = tuple(int(part.sum()) for part in np.split(present, np.cumsum(pooled)[:-1]))
    return counts if min(counts) >= LEAST_UNITS else ()
