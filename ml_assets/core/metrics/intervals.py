"""Intervals for rows that are not independent: what a metric is worth, by unit.

A measurement is a value plus the sum of its influence function in each unit. Both are linear, so a paired difference is a
subtraction. (GATES.md)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Any

import numpy as np

from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.metrics.spread import Spread, WindowSums, spread_of


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
        """Read what `to_dict` returned; null is NaN again."""
        numbers = {name: nan if value[name] is None else value[name] for name in ("value", "low", "high")}
        return cls(**{**value, **numbers})


@dataclass(frozen=True)
class Units:
    """The unit of each row as a number from 0 to count - 1, every one of them present; in the order of time if `is_ordered`."""

    codes: Ints
    count: int
    is_ordered: bool = False

    @classmethod
    def of(cls, codes: Ints, *, is_ordered: bool = False) -> "Units":
        """Renumber codes so that a part of the rows has no empty unit."""
        present = np.bincount(codes) > 0
        return cls(codes=(np.cumsum(present) - 1)[codes], count=int(present.sum()), is_ordered=is_ordered)

    @cached_property
    def shares(self) -> Floats:
        """The share of the rows that each unit holds: (count,)."""
        return np.bincount(self.codes, minlength=self.count) / self.codes.size

    def sums(self, values: Floats) -> Floats:
        """The sum of `values` in each unit."""
        return np.bincount(self.codes, weights=values, minlength=self.count).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A metric's value and what its spread is made of: sums of influence by unit and the share of the rows in each (G,).

    `pooled`: of a mean over several windows, the number of units of each."""

    value: float
    parts: Floats
    shares: Floats
    is_ordered: bool
    rows: int
    note: str = ""
    pooled: tuple[int, ...] = ()

    @property
    def units(self) -> int:
        """The number of units, G."""
        return int(self.shares.size)

    def minus(self, other: "Measured") -> "Measured":
        """The paired difference: both sides were measured on the same rows."""
        return Measured(
            value=self.value - other.value,
            parts=self.parts - other.parts,
            shares=self.shares,
            is_ordered=self.is_ordered,
            rows=self.rows,
            note=self.note or other.note,
            pooled=self.pooled,
        )

    def estimate(self, *, level: float, bounds: tuple[float, float]) -> Estimate:
        """The interval between both one-sided bounds, cut at what the metric can be."""
        low = high = nan
        if not (note := self.note or self.lacks):
            spread, tail = self.spread(), (1 - level) / 2
            low = max(self.value - spread.reach(tail, sign=1), bounds[0])
            high = min(self.value + spread.reach(tail, sign=-1), bounds[1])
        return Estimate(value=self.value, low=low, high=high, units=self.units, rows=self.rows, note=note)

    @property
    def lacks(self) -> str:
        """The reason why no error can be estimated; empty if it can."""
        return "one unit: no error can be told" if self.units < 2 else ""

    def spread(self, past: Sequence[WindowSums] = ()) -> Spread:
        """The error of the value; `past` is the same measurement on earlier windows."""
        return spread_of(self.parts, self.shares, is_ordered=self.is_ordered, past=past, pooled=self.pooled)


def finite_or_none(value: float) -> float | None:
    """The number, or None for NaN and infinities, which JSON cannot say."""
    return float(value) if np.isfinite(value) else None
