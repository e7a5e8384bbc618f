"""The error of an estimate, from the contribution of each unit: dependence in time, unequal units, skewness.

All of it is learned from the product's own past as well, where the same thing was estimated on earlier windows. What that
reaches, and what nothing reaches, is counted in docs/gates.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt

import numpy as np
from scipy.special import stdtr, stdtrit

from ml_assets.core.metrics.arrays import Floats

USUAL_CORRELATION, USUAL_UNITS = 0.25, 30.0
"""The prior for a product without history, and the number of units that this counts for."""
MOST_CORRELATION = 0.7
CAUTION = 1.5
"""By how much the skewness is taken to be more than a sample shows of it."""
LEAST_UNITS = 5
"""Of fewer units no serial correlation can be told."""


@dataclass(frozen=True, kw_only=True)
class WindowSums:
    """The sums that later windows learn from: its number of units, the correlation of neighbouring ones (NaN where it cannot be
    told), and the sums of squares and cubes of what they contributed."""

    units: int
    correlation: float
    squares: float
    cubes: float


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The error of an estimate. `skewness` is that of its own units, `past_skewness` that of these and all past ones together;
    `correlation` of neighbouring units makes them worth `effective_units` independent ones; `past` counts earlier windows."""

    standard_error: float
    units: int
    freedom: float
    skewness: float = 0.0
    past_skewness: float = 0.0
    correlation: float = 0.0
    effective_units: float = nan
    past: int = 0
    sums: WindowSums | None = None

    @property
    def is_defined(self) -> bool:
        """Whether there are two units or more, and all numbers are finite."""
        numbers = (self.standard_error, self.freedom, self.skewness, self.past_skewness)
        return all(map(isfinite, numbers)) and self.standard_error >= 0 and self.units >= 2

    def p(self, distance: float, *, sign: int) -> float:
        """P(an estimate at least `distance` above the truth; below it for sign -1)."""
        return float(stdtr(self.freedom, -_deskewed(distance / self.standard_error, self._caution(sign))))

    def reach(self, level: float, *, sign: int, growth: float = 1.0) -> float:
        """From the estimate to its one-sided bound, the lower one for sign 1 and the upper one for -1; `growth` times as many
        units would bring it nearer."""
        freedom = max(2.0, (self.freedom + 1) * growth - 1)
        x, k = float(stdtrit(freedom, 1 - level)), self._caution(sign) / sqrt(growth)
        return (x + k * (x * x / 3 + 1 / 6)) * self.standard_error / sqrt(growth)

    def _caution(self, sign: int) -> float:
        """k: how much a few units that speak against the estimate may be hidden. Zero where they speak for it."""
        return CAUTION * max(0.0, -sign * self.skewness, -sign * self.past_skewness)


def _deskewed(t: float, k: float) -> float:
    """The x of which x + k (x^2/3 + 1/6) is t: Cornish & Fisher's expansion to first order (Johnson 1978, J. Am. Stat. Assoc. 73;
    Hall 1992, J. R. Stat. Soc. B 54). Below its vertex nothing is left."""
    root = 1 + 4 * k / 3 * (t - k / 6)
    return 2 * (t - k / 6) / (1 + sqrt(root)) if root > 0 else -inf


def spread_of(
    parts: Floats, shares: Floats, *, is_ordered: bool, past: Sequence[WindowSums] = (), pooled: Sequence[int] = ()
) -> Spread:
    """The spread of an estimate whose units contribute `parts` (G,), sums of influence, and hold `shares` (G,) of the rows.

    `is_ordered`: units follow each other in time, so neighbours may be alike; `past`: the same estimate on earlier windows.
    `pooled`: of an estimate that is the mean of those on several windows, the number of units of each, in order. Each window's
    units are then held against that window's own mean, which takes one degree of freedom each.

    SE^2 = (G-1)/G sum_g w_g^2 V (G-1)/(G-V), w_g = parts_g / (1 - shares_g) (jackknife CV3: Bell & McCaffrey 2002, Survey
    Methodology 28), V the variance inflation of a mean whose neighbours correlate by r, on 1/(V sum shares^2) - 1 degrees of
    freedom.
    """
    count = parts.size
    own, left_out = _own_windows(parts, shares, pooled, is_ordered=is_ordered)
    windows = [*own, *past]
    r = _pooled_correlation(windows) if is_ordered else 0.0
    inflated = inflation(r, count)
    squares = float(left_out @ left_out)
    return Spread(
        standard_error=sqrt((count - 1) / count * squares * inflated * (count - 1) / (count - inflated)),
        units=count,
        freedom=max(2.0, 1 / (float(shares @ shares) * inflated) - len(own)),
        skewness=float(np.sum(left_out**3)) / squares**1.5 if squares > 0 else 0.0,
        past_skewness=_pooled_skewness(windows) / sqrt(len(own)),
        correlation=r,
        effective_units=count / inflated,
        past=len(past),
        sums=own[0] if len(own) == 1 else None,
    )


def _own_windows(parts: Floats, shares: Floats, pooled: Sequence[int], *, is_ordered: bool) -> tuple[list[WindowSums], Floats]:
    """The sums of each window that the estimate is of, as if it were measured alone, and what each unit contributes when its
    window's mean is taken without it (jackknife): (G,)."""
    if not pooled:
        return [_sums(parts, is_ordered=is_ordered)], parts / (1 - shares)
    ends = np.cumsum(pooled)[:-1]
    sums, left_out = [], []
    for own, window_shares in zip(np.split(parts, ends), np.split(shares, ends), strict=True):
        weight = float(window_shares.sum())
        sums.append(_sums(own / weight, is_ordered=is_ordered))
        left_out.append(own / (1 - window_shares / weight))
    return sums, np.concatenate(left_out)


def _sums(parts: Floats, *, is_ordered: bool) -> WindowSums:
    return WindowSums(
        units=parts.size,
        correlation=_correlation(parts) if is_ordered else nan,
        squares=float(parts @ parts),
        cubes=float(np.sum(parts**3)),
    )


def inflation(r: float, count: int) -> float:
    """V: by how much the variance of a mean of `count` units is greater because neighbours correlate by r (AR(1))."""
    return (1 + r) / (1 - r) - 2 * r * (1 - r**count) / (count * (1 - r) ** 2)


def _correlation(parts: Floats) -> float:
    """Of neighbouring units, less its bias (Marriott & Pope 1954, Biometrika 41; Kendall 1954): (r1 + 1/G) / (1 - 4/G)."""
    squares = float(parts @ parts)
    if parts.size < LEAST_UNITS or not squares > 0:
        return nan
    return (float(parts[1:] @ parts[:-1]) / squares + 1 / parts.size) / (1 - 4 / parts.size)


def _pooled_correlation(windows: Sequence[WindowSums]) -> float:
    """That of all windows by their number of units, with what is usual in the place of a history."""
    correlations = [(window.units, window.correlation) for window in windows if isfinite(window.correlation)]
    weight = sum(units for units, _ in correlations) + USUAL_UNITS
    mean = (sum(units * r for units, r in correlations) + USUAL_UNITS * USUAL_CORRELATION) / weight
    return min(max(mean, 0.0), MOST_CORRELATION)


def _pooled_skewness(windows: Sequence[WindowSums]) -> float:
    """That which one window has when its units are like those of all."""
    squares = sum(window.squares for window in windows)
    return sqrt(len(windows)) * sum(window.cubes for window in windows) / squares**1.5 if squares > 0 else 0.0
