"""One-sided tests of a measured number against a constant, clustered by unit, and how far they are from deciding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from ml_assets.core.metrics.intervals import Measured
from ml_assets.core.metrics.spread import Spread, WindowSums

Sign = Literal[">", "<"]
POWER = 0.8
MOST_UNITS = 100_000
UNDEFINED = Spread(standard_error=nan, units=0, freedom=nan)


@dataclass(frozen=True)
class ClaimEvidence:
    """The evidence of rows about `value sign constant`. NaN where `note` says why.

    `is_certain` says that the value could not be another one on any rows: the models that it compares scored all of them alike.
    """

    value: float
    spread: Spread
    constant: float
    sign: Sign
    note: str = ""
    is_certain: bool = False

    @property
    def is_defined(self) -> bool:
        """Whether the rows allow a statement: the value and its error are finite."""
        return not self.note and isfinite(self.value) and self.spread.is_defined

    @property
    def advantage(self) -> float:
        """The distance of the estimate from the constant, positive on its true side."""
        return self.value - self.constant if self.sign == ">" else self.constant - self.value

    @property
    def p_proof(self) -> float:
        """P(an estimate at least as favourable, if the claim just failed to hold): small proves the claim.

        Units that are all the same tell no error, so they prove nothing: none of n defects is not a rate of zero.
        """
        if self.is_defined and self.spread.standard_error == 0 and not self.is_certain:
            return 1.0
        return self._p(self.advantage, self._towards)

    @property
    def p_disproof(self) -> float:
        """P(an estimate at least as unfavourable, if the claim just held): small disproves it."""
        return self._p(-self.advantage, -self._towards)

    def below(self, level: float) -> float:
        """From the estimate down to its lower one-sided bound."""
        return self.spread.reach(level, sign=1) if self.is_defined else nan

    def above(self, level: float) -> float:
        """From the estimate up to its upper one-sided bound."""
        return self.spread.reach(level, sign=-1) if self.is_defined else nan

    def detectable(self, level: float) -> float:
        """The distance on the true side at which a truth is proven here with a probability of 80 %."""
        if not self.is_defined:
            return nan
        return self._usual + self.spread.reach(level, sign=self._towards)

    def visible(self, level: float) -> float:
        """The distance on the false side at which a truth is disproven here with a probability of 80 %."""
        if not self.is_defined:
            return nan
        return self._usual + self.spread.reach(level, sign=-self._towards)

    def further_units(self, level: float) -> int | None:
        """The number of further units like these that would decide, one way or the other, if the estimate stayed; None: beyond
        100,000."""
        if not self.is_defined or self.advantage == 0 or self.spread.standard_error == 0:
            return None
        low, high = self.spread.units, MOST_UNITS
        if not self._decides(high, level):
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._decides(middle, level) else (middle + 1, high)
        return low - self.spread.units

    @property
    def _usual(self) -> float:
        """The largest error of an estimate in four of five windows."""
        return float(stdtrit(self.spread.freedom, POWER)) * self.spread.standard_error

    @property
    def _towards(self) -> int:
        """The direction of an estimate that favours the claim."""
        return 1 if self.sign == ">" else -1

    def _p(self, advantage: float, towards: int) -> float:
        """Without spread the estimate is the truth; at the constant itself neither side is shown."""
        if not self.is_defined:
            return nan
        if self.spread.standard_error == 0:
            return 0.0 if advantage > 0 else 1.0
        return self.spread.p(advantage, sign=towards)

    def _decides(self, units: int, level: float) -> bool:
        towards = self._towards if self.advantage > 0 else -self._towards
        return abs(self.advantage) >= self.spread.reach(level, sign=towards, growth=units / self.spread.units)


def combine(terms: Iterable[tuple[float, Measured]]) -> Measured:
    """The weighted sum of measurements on the same rows, so paired."""
    weighted = list(terms)
    first = weighted[0][1]
    parts = np.asarray(sum(weight * measured.parts for weight, measured in weighted))
    return Measured(
        value=sum(weight * measured.value for weight, measured in weighted),
        parts=parts,
        shares=first.shares,
        is_ordered=first.is_ordered,
        rows=first.rows,
        note=next((measured.note for _, measured in weighted if measured.note), ""),
        pooled=first.pooled,
    )


def shown(
    measured: Measured, *, constant: float, sign: Sign, is_certain: bool = False, past: Sequence[WindowSums] = ()
) -> ClaimEvidence:
    """The test of `measured sign constant`; `past` is what earlier windows showed of the same measurement."""
    note = measured.note or measured.lacks
    spread = UNDEFINED if note else measured.spread(past)
    return ClaimEvidence(measured.value, spread, constant, sign, note, is_certain)
