"""One-sided tests of a measured number against a constant, clustered by unit, and how far they are from deciding."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import cbrt, isfinite, nan, sqrt
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from ml_assets.core.metrics.intervals import Measured, Units

Sign = Literal[">", "<"]
POWER = 0.8
MOST_UNITS = 100_000
CAUTION = 2.0
"""By how much the skewness of a sample is taken to be more than it seems: that of 20 to 60 heavy-tailed units is seen at about
half of its size. With it the level holds for exponential units at 20 (docs/gates.md)."""


@dataclass(frozen=True)
class Shown:
    """What rows in `units` independent units show about `value sign constant`. NaN where `note` says why.

    `skewness` is that of the estimate; `is_certain` says that the value could not be another one on any rows: the models that
    it compares scored all of them alike.
    """

    value: float
    standard_error: float
    units: int
    constant: float
    sign: Sign
    note: str = ""
    skewness: float = 0.0
    is_certain: bool = False

    @property
    def is_defined(self) -> bool:
        numbers = (self.value, self.standard_error, self.skewness)
        return not self.note and all(map(isfinite, numbers)) and self.standard_error >= 0 and self.units >= 2

    @property
    def advantage(self) -> float:
        """How far the estimate is on the true side of the constant."""
        return self.value - self.constant if self.sign == ">" else self.constant - self.value

    @property
    def p_proof(self) -> float:
        """P(an estimate at least as favourable, if the claim just failed to hold): small proves the claim.

        Units that are all the same tell no error, so they prove nothing: none of n defects is not a rate of zero.
        """
        if self.is_defined and self.standard_error == 0 and not self.is_certain:
            return 1.0
        return self._p(self.advantage, self._lean)

    @property
    def p_disproof(self) -> float:
        """P(an estimate at least as unfavourable, if the claim just held): small disproves it."""
        return self._p(-self.advantage, -self._lean)

    def below(self, level: float) -> float:
        """From the estimate down to its lower one-sided bound."""
        return self._reach(level, self.skewness, self.units)

    def above(self, level: float) -> float:
        """From the estimate up to its upper one-sided bound."""
        return self._reach(level, -self.skewness, self.units)

    def detectable(self, level: float) -> float:
        """How far on its true side a truth must be to be proven here with a probability of 80 %."""
        if not self.is_defined:
            return nan
        return float(stdtrit(self.units - 1, POWER)) * self.standard_error + self._reach(level, self._lean, self.units)

    def further_units(self, level: float) -> int | None:
        """How many more units like these would decide, one way or the other, if the estimate stayed; None: beyond 100,000."""
        if not self.is_defined or self.advantage == 0 or self.standard_error == 0:
            return None
        low, high = self.units, MOST_UNITS
        if not self._decides(high, level):
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._decides(middle, level) else (middle + 1, high)
        return low - self.units

    @property
    def _lean(self) -> float:
        """The skewness of the advantage: negative where a few units hold most of what speaks against the claim."""
        return self.skewness if self.sign == ">" else -self.skewness

    def _p(self, advantage: float, lean: float) -> float:
        """P(T >= advantage / SE), T with units - 1 degrees of freedom. Without spread the estimate is the truth; at the constant
        itself neither side is shown."""
        if not self.is_defined:
            return nan
        if self.standard_error == 0:
            return 0.0 if advantage > 0 else 1.0
        return float(stdtr(self.units - 1, -_deskewed(advantage / self.standard_error, CAUTION * lean)))

    def _reach(self, level: float, lean: float, units: int) -> float:
        if not self.is_defined:
            return nan
        share = sqrt(self.units / units)
        return _skewed(float(stdtrit(units - 1, 1 - level)), CAUTION * lean * share) * self.standard_error * share

    def _decides(self, units: int, level: float) -> bool:
        lean = self._lean if self.advantage > 0 else -self._lean
        return abs(self.advantage) >= self._reach(level, lean, units)


def _deskewed(t: float, k: float) -> float:
    """The t statistic less what the skewness k of its estimate lets it overstate (Hall 1992, J. R. Stat. Soc. B 54, 221-228).

    H(t) = t + k (t^2/3 + 1/6) + k^2 t^3/27; where that is more than t it is not believed.
    """
    return min(t, t + k * (t * t / 3 + 1 / 6) + k * k * t**3 / 27)


def _skewed(x: float, k: float) -> float:
    """The t whose _deskewed is x: H is a cube, (1 + kt/3)^3 = 1 + k (H - k/6)."""
    return x if abs(k) < 1e-9 else max(x, 3 / k * (cbrt(1 + k * (x - k / 6)) - 1))


def combine(terms: Iterable[tuple[float, Measured]], units: Units) -> Measured:
    """The weighted sum of measurements on the same rows, so paired; resampled and summed ones meet in the resamples."""
    weighted = list(terms)
    is_resampled = any(measured.is_resampled for _, measured in weighted)
    note = next((measured.note for _, measured in weighted if measured.note), "")
    value = sum(weight * measured.value for weight, measured in weighted)
    parts = np.full(1, nan) if note else sum(w * _parts(measured, units, is_resampled=is_resampled) for w, measured in weighted)
    rows = max(measured.rows for _, measured in weighted)
    return Measured(value=value, parts=np.asarray(parts), is_resampled=is_resampled, units=units.count, rows=rows, note=note)


def _parts(measured: Measured, units: Units, *, is_resampled: bool) -> np.ndarray:
    """Unit sums of influence; where another term was resampled, the values that they imply in the same resamples."""
    if measured.is_resampled or not is_resampled:
        return measured.parts
    return measured.value + (units.weights - 1) @ measured.parts


def shown(measured: Measured, *, constant: float, sign: Sign, is_certain: bool = False) -> Shown:
    """The test of `measured sign constant`."""
    note = measured.note or ("one unit: no error can be told" if measured.units < 2 else "")
    is_finite = not note and bool(np.isfinite(measured.parts).all())
    error, skewness = (measured.standard_error, measured.skewness) if is_finite else (nan, nan)
    if not note and not isfinite(error):
        note = "undefined in some resamples of its units"
    return Shown(measured.value, error, measured.units, constant, sign, note, skewness, is_certain)
