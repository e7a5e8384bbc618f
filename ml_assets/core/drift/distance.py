"""The distance of rows by bin from a reference, its expected value without drift, and its natural variation.

The distance is Freeman and Tukey's, d = 4 Σ (√(x/n) - √(r/m))²: it needs no floor under empty bins, and its variance does not
depend on the shares. With x and r drawn from the same shares p it is on average E0 = Σ (1-p) (g(np)/n + g(mp)/m), where g(λ)
is the mean of 4 (√X - √λ)² for X ~ Poisson(λ).
"""

from functools import cache
from typing import Any

import numpy as np
from scipy.special import gammaln

from ml_assets.core.metrics.arrays import Floats, Ints

Flags = np.ndarray[Any, np.dtype[np.bool_]]
_LEAST, _MOST, _POINTS = 1e-6, 2000.0, 1500
"""g is tabulated between these means; below it is 4 λ, above it is 1, both to three digits."""
STEPS = 40
CLOSE = 1e-9
"""A step that is shorter than this share of τ is the last one."""


def compare(rows: Floats, reference: Floats, starts: Ints) -> tuple[Floats, Floats, Floats]:
    """The distance of `rows` (…, bins) from `reference` (…, bins), its expectation without drift, and the share of the rows that
    would have to move to make both alike. `starts` (tests,) is where the bins of each test begin; all results are (…, tests)."""
    width = np.diff(np.append(starts, rows.shape[-1]))
    n = np.repeat(np.add.reduceat(rows, starts, axis=-1), width, axis=-1)
    m = np.repeat(np.add.reduceat(reference, starts, axis=-1), width, axis=-1)
    n, m = np.maximum(n, 1), np.maximum(m, 1)
    shares, expected, pooled = rows / n, reference / m, (rows + reference) / (n + m)
    distance = 4 * (np.sqrt(shares) - np.sqrt(expected)) ** 2
    chance = (1 - pooled) * (freeman_tukey(n * pooled) / n + freeman_tukey(m * pooled) / m)
    moved = np.abs(shares - expected) / 2
    first, second, third = (np.add.reduceat(part, starts, axis=-1) for part in (distance, chance, moved))
    return first, second, third


def freeman_tukey(means: Floats) -> Floats:
    """g(λ), the mean of 4 (√X - √λ)² for X ~ Poisson(λ), of an array of means."""
    logs, values = _table()
    distances: Floats = np.where(means < _LEAST, 4 * means, np.interp(np.log(np.maximum(means, _LEAST)), logs, values))
    return distances


@cache
def _table() -> tuple[Floats, Floats]:
    logs = np.linspace(np.log(_LEAST), np.log(_MOST), _POINTS)
    values = np.empty(_POINTS)
    for place, mean in enumerate(np.exp(logs)):
        spread = 12 * np.sqrt(mean) + 40
        counts = np.arange(max(0, int(mean - spread)), int(mean + spread))
        weights = np.exp(counts * np.log(mean) - mean - gammaln(counts + 1))
        values[place] = np.sum(weights * 4 * (np.sqrt(counts) - np.sqrt(mean)) ** 2)
    return logs, values


def natural_variation(distance: Floats, expected: Floats, known: Flags) -> Floats:
    """τ (…, tests) from G comparisons of the past (…, G, tests): the solution of Σ d/(E0+τ) = G, at least 0 (Paule and Mandel
    1982). Those that are not `known` are left out.

    The inverse of the sum is concave, rises in τ and is nearly a line, so Newton's steps on it from 0 are few, come from one side
    and never go past the solution. Each test takes its own number of steps; those that are done are put aside whenever half of
    them are.
    """
    shape = (*distance.shape[:-2], distance.shape[-1])
    distances, expectations, flags = (
        np.moveaxis(part, -2, 0).reshape(part.shape[-2], -1) for part in (distance, expected, known)
    )
    distances, expectations = np.where(flags, distances, 0.0), np.where(flags, expectations, np.inf)
    number, variation = flags.sum(axis=0), np.zeros(distances.shape[1])
    at, own = np.arange(variation.size), variation
    for _ in range(STEPS):
        scale = expectations + own
        ratio = distances / scale
        total = ratio.sum(axis=0)
        ratio /= scale
        slope = ratio.sum(axis=0)
        too_large = (total > number) & (slope > 0)
        step = np.where(too_large, (total - number) / np.maximum(slope, 1e-300) * total / np.maximum(number, 1), 0.0)
        own = own + step
        variation[at] = own
        goes_on = step > CLOSE * own
        if not goes_on.any():
            break
        if goes_on.mean() < 0.5:
            at, own, number = at[goes_on], own[goes_on], number[goes_on]
            distances, expectations = distances[:, goes_on], expectations[:, goes_on]
    return variation.reshape(shape)
