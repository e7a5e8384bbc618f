"""One-sided tests of a measured number against a constant, clustered by unit, and how far they are from deciding."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite, nan, sqrt
from typing import Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from ml_assets.core.intervals import Measured, Units

Sign = Literal[">", "<"]
POWER = 0.8
MOST_UNITS = 100_000


@dataclass(frozen=True)
class Shown:
    """What rows in `units` independent units show about `value sign constant`. NaN where `note` says why."""

    value: float
    standard_error: float
    units: int
    constant: float
    sign: Sign
    note: str = ""

    @property
    def is_defined(self) -> bool:
        return not self.note and isfinite(self.value) and isfinite(self.standard_error) and self.units >= 2

    @property
    def advantage(self) -> float:
        """How far the estimate is on the true side of the constant."""
        return self.value - self.constant if self.sign == ">" else self.constant - self.value

    @property
    def p_proof(self) -> float:
        """P(an estimate at least as favourable, if the claim just failed to hold): small proves the claim."""
        return self._tail(-self.advantage)

    @property
    def p_disproof(self) -> float:
        """P(an estimate at least as unfavourable, if the claim just held): small disproves it."""
        return self._tail(self.advantage)

    def _tail(self, distance: float) -> float:
        """P(T <= distance / SE), T with units - 1 degrees of freedom. Without spread the estimate is the truth; at the constant
        itself neither side is shown."""
        if not self.is_defined:
            return nan
        if self.standard_error == 0:
            return 0.0 if distance < 0 else 1.0
        return float(stdtr(self.units - 1, distance / self.standard_error))

    def reach(self, level: float) -> float:
        """From the estimate to either one-sided bound."""
        return float(stdtrit(self.units - 1, 1 - level)) * self.standard_error if self.is_defined else nan

    def detectable(self, level: float) -> float:
        """How far on its true side a truth must be to be proven here with a probability of 80 %."""
        return float(stdtrit(self.units - 1, POWER)) * self.standard_error + self.reach(level) if self.is_defined else nan

    def further_units(self, level: float) -> int | None:
        """How many more units like these would decide, one way or the other, if the estimate stayed; None: beyond 100,000."""
        if not self.is_defined or self.advantage == 0:
            return None
        if self.standard_error == 0:
            return 0
        low, high = self.units, MOST_UNITS
        if not self._decides(high, level):
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._decides(middle, level) else (middle + 1, high)
        return low - self.units

    def _decides(self, units: int, level: float) -> bool:
        spread = self.standard_error * sqrt(self.units / units)
        return abs(self.advantage) >= float(stdtrit(units - 1, 1 - level)) * spread


def combine(terms: Iterable[tuple[float, Measured]], units: Units) -> Measured:
    """The weighted sum of measurements on the same rows, so paired; resampled and summed ones meet in the resamples."""
    weighted = list(terms)
    is_resampled = any(each.is_resampled for _, each in weighted)
    note = next((each.note for _, each in weighted if each.note), "")
    value = sum(weight * each.value for weight, each in weighted)
    parts = np.full(1, nan) if note else sum(w * _parts(each, units, is_resampled=is_resampled) for w, each in weighted)
    rows = max(each.rows for _, each in weighted)
    return Measured(value=value, parts=np.asarray(parts), is_resampled=is_resampled, units=units.count, rows=rows, note=note)


def _parts(measured: Measured, units: Units, *, is_resampled: bool) -> np.ndarray:
    """Unit sums of influence; where another term was resampled, the values that they imply in the same resamples."""
    if measured.is_resampled or not is_resampled:
        return measured.parts
    return measured.value + (units.weights - 1) @ measured.parts


def shown(measured: Measured, *, constant: float, sign: Sign) -> Shown:
    """The test of `measured sign constant`."""
    note = measured.note or ("one unit: no error can be told" if measured.units < 2 else "")
    error = nan if note or not np.isfinite(measured.parts).all() else measured.standard_error
    if not note and not isfinite(error):
        note = "undefined in some resamples of its units"
    return Shown(measured.value, error, measured.units, constant, sign, note)
