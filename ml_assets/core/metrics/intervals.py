"""Intervals for rows that are not independent: what a metric is worth, by unit.

A measurement is a value plus either the sum of its influence function in each unit, or its value in each
bootstrap resample of whole units. Both are linear, so a paired difference is a subtraction. (GATES.md)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any

import numpy as np
from scipy.special import stdtrit

from ml_assets.core.metrics.arrays import Floats, Ints

RESAMPLES = 200
SEED = 20130101


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its two-sided interval. NaN means undefined, and `note` says why."""

    value: float
    low: float
    high: float
    units: int
    rows: int
    note: str = ""

    def to_dict(self) -> dict[str, float | int | str | None]:
        """JSON-able: what is not finite becomes null, never a number."""
        return {
            "value": finite_or_none(self.value),
            "low": finite_or_none(self.low),
            "high": finite_or_none(self.high),
            "units": self.units,
            "rows": self.rows,
            "note": self.note,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Estimate":
        """What `to_dict` gave; null is NaN again."""
        numbers = {name: nan if value[name] is None else value[name] for name in ("value", "low", "high")}
        return cls(**{**value, **numbers})


@dataclass(frozen=True)
class Units:
    """The unit of each row as a number from 0 to count - 1, every one of them present."""

    codes: Ints
    count: int

    @classmethod
    def of(cls, codes: Ints) -> "Units":
        """Renumber codes so that a part of the rows has no empty unit."""
        present = np.bincount(codes) > 0
        return cls(codes=(np.cumsum(present) - 1)[codes], count=int(present.sum()))

    @cached_property
    def weights(self) -> Ints:
        """How often each resample draws each unit: (RESAMPLES, count), always the same draws."""
        draws = np.random.default_rng(SEED).integers(0, self.count, size=(RESAMPLES, self.count))
        offsets = np.arange(RESAMPLES)[:, None] * self.count
        counts = np.bincount((draws + offsets).ravel(), minlength=RESAMPLES * self.count)
        return counts.reshape(RESAMPLES, self.count)

    def sums(self, values: Floats) -> Floats:
        """The sum of `values` in each unit."""
        return np.bincount(self.codes, weights=values, minlength=self.count).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric's value and what its spread is made of: unit sums of influence, or resampled values."""

    value: float
    parts: Floats
    is_resampled: bool
    units: int
    rows: int
    note: str = ""

    def minus(self, other: "Measured") -> "Measured":
        """The paired difference: both sides were measured on the same rows and resamples."""
        return Measured(
            value=self.value - other.value,
            parts=self.parts - other.parts,
            is_resampled=self.is_resampled,
            units=self.units,
            rows=self.rows,
            note=self.note or other.note,
        )

    def estimate(self, *, level: float, bounds: tuple[float, float]) -> Estimate:
        """A t interval on units - 1 degrees of freedom, cut at what the metric can be."""
        low = high = float("nan")
        note = self.note or self._spread_note()
        if not note:
            reach = float(stdtrit(self.units - 1, 0.5 + level / 2)) * self.standard_error
            low, high = max(self.value - reach, bounds[0]), min(self.value + reach, bounds[1])
        return Estimate(value=self.value, low=low, high=high, units=self.units, rows=self.rows, note=note)

    def _spread_note(self) -> str:
        if self.units < 2:
            return "one unit: no interval"
        if not np.isfinite(self.parts).all():
            return "undefined in some resamples of its units: no interval"
        return ""

    @property
    def standard_error(self) -> float:
        """SE^2 = G/(G-1) * sum_g (sum of psi in g)^2; of resamples, their variance times the same factor."""
        squares = np.var(self.parts, ddof=1) if self.is_resampled else np.sum(self.parts**2)
        return float(np.sqrt(self.units / (self.units - 1) * squares))

    @property
    def skewness(self) -> float:
        """Of the estimate: sum_g s^3 / (sum_g s^2)^(3/2), s the sum of psi in g; of resamples, theirs, less one standard error of
        a skewness of as many. 0 without spread."""
        if not self.is_resampled:
            squares = float(np.sum(self.parts**2))
            return float(np.sum(self.parts**3)) / squares**1.5 if squares > 0 else 0.0
        spread = float(np.std(self.parts))
        if not spread > 0:
            return 0.0
        seen = float(np.mean((self.parts - self.parts.mean()) ** 3)) / spread**3
        return float(np.sign(seen)) * max(abs(seen) - float(np.sqrt(6 / self.parts.size)), 0.0)


def finite_or_none(value: float) -> float | None:
    """The number, or None for NaN and infinities, which JSON cannot say."""
    return float(value) if np.isfinite(value) else None
