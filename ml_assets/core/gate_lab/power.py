"""The probable verdicts on a candidate that is exactly as good as the champion, from the errors of past comparisons."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite, sqrt

import numpy as np
from scipy.special import gammaincinv, stdtr

from ml_assets.core.gates.bounds import MOST_UNITS, ClaimEvidence
from ml_assets.core.gates.history import History
from ml_assets.core.gates.hypotheses import hypotheses_of
from ml_assets.core.gates.panel import MinimumLike, Panel
from ml_assets.core.metrics.spread import Spread
from ml_assets.spec.gates import ClaimSpec


@dataclass(frozen=True)
class Power:
    """One past test of a `prove` claim: its error, the direction of an estimate that favours it, and how far inside its limit a
    candidate is that is no different."""

    advantage: float
    spread: Spread
    towards: int = 1

    @property
    def units(self) -> int:
        """The number of units that the error was estimated from."""
        return self.spread.units

    def passes(self, level: float) -> float:
        """P(PASS) of a candidate that is no different."""
        return self._passes(level, self.units)

    def units_for(self, level: float, chance: float) -> int | None:
        """The number of units like these that a test needs so that P(PASS) is `chance`; None when no number is enough."""
        if self.advantage <= 0 or self._passes(level, MOST_UNITS) < chance:
            return None
        low, high = 2, MOST_UNITS
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._passes(level, middle) >= chance else (middle + 1, high)
        return low

    def _passes(self, level: float, units: int) -> float:
        growth = units / self.units
        beyond = self.advantage - self.spread.reach(level, sign=self.towards, growth=growth)
        freedom = max(2.0, (self.spread.freedom + 1) * growth - 1)
        return float(stdtr(freedom, beyond / self.spread.standard_error * sqrt(growth)))


def powers(claim: ClaimSpec, panel: Panel, minimum: MinimumLike, past: History) -> list[Power]:
    """The power of each hypothesis of a claim on this comparison, with what earlier ones showed; none where a model or a number
    is missing."""
    if not claim.form.models <= set(panel.scores):
        return []
    neutral = {
        hypothesis.where: hypothesis
        for hypothesis in hypotheses_of(claim.form, claim.for_each, _unchanged(panel), minimum, {}).hypotheses
    }
    tests = []
    for hypothesis in hypotheses_of(claim.form, claim.for_each, panel, minimum, {}, past=past.get(claim.text)).hypotheses:
        test, level = hypothesis.shown, neutral.get(hypothesis.where)
        if level is not None and test.is_defined and isfinite(level.shown.value) and test.spread.standard_error > 0:
            tests.append(Power(level.shown.advantage, test.spread, 1 if test.sign == ">" else -1))
    return tests


def _unchanged(panel: Panel) -> Panel:
    """A candidate that is no different from the champion, which is the anchor too."""
    champion = panel.scores.get("champion")
    if champion is None:
        return panel
    return replace(panel, scores={role: own if role == "baseline" else champion for role, own in panel.scores.items()})


@dataclass(frozen=True)
class Design:
    """The widening of the error by a coarser unit: the variance of one over that of the other, over all comparisons.

    `low` is its one-sided 95 % bound, from the few coarse units that there are.
    """

    unit: str
    effect: float
    low: float


def design(tests: Mapping[str, list[ClaimEvidence]], *, unit: str, coarser: str) -> Design | None:
    """The design effect from the same comparisons, tested by either unit."""
    tested = zip(tests[unit], tests[coarser], strict=True)
    pairs = [(f.spread, c.spread) for f, c in tested if f.is_defined and c.is_defined]
    fine = sum(spread.standard_error**2 for spread, _ in pairs)
    freedom = sum(spread.units - 1 for _, spread in pairs)
    if not pairs or fine == 0 or freedom < 2:
        return None
    effect = sum(spread.standard_error**2 for _, spread in pairs) / fine
    upper = 2 * float(gammaincinv(freedom / 2, 0.95))  # of chi-square
    return Design(coarser, effect, effect * freedom / upper)


def typical(values: list[float]) -> float:
    """The mean, NaN of nothing."""
    return float(np.mean(values)) if values else float("nan")
