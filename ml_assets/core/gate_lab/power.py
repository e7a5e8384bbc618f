"""What gates would do if a candidate were exactly as good as the champion, told from the errors of past comparisons."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite, sqrt

import numpy as np
from scipy.special import gammaincinv, stdtr, stdtrit

from ml_assets.core.gates.bounds import MOST_UNITS, Shown
from ml_assets.core.gates.hypotheses import Hypothesis, ask
from ml_assets.core.gates.panel import MinimumLike, Panel
from ml_assets.spec.gates import ClaimSpec


@dataclass(frozen=True)
class Power:
    """One past test of a `prove` claim: its error, and how far inside its limit a candidate is that is no different."""

    advantage: float
    standard_error: float
    units: int

    def passes(self, level: float) -> float:
        """P(PASS) of a candidate that is no different."""
        return self._passes(level, self.units)

    def units_for(self, level: float, chance: float) -> int | None:
        """How many units like these a test needs so that P(PASS) is `wanted`; None when no number does."""
        if self.advantage <= 0 or self._passes(level, MOST_UNITS) < chance:
            return None
        low, high = 2, MOST_UNITS
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._passes(level, middle) >= chance else (middle + 1, high)
        return low

    def _passes(self, level: float, units: int) -> float:
        error = self.standard_error * sqrt(self.units / units)
        return float(stdtr(units - 1, self.advantage / error - float(stdtrit(units - 1, 1 - level))))


def powers(claim: ClaimSpec, panel: Panel, minimum: MinimumLike) -> list[Power]:
    """The power of each hypothesis of a claim on this comparison; none where a model or a number is missing."""
    if not claim.form.models <= set(panel.scores):
        return []
    same = replace(panel, scores=dict.fromkeys(panel.scores, panel.scores["champion"])) if "champion" in panel.scores else panel
    neutral = {hypothesis.where: hypothesis for hypothesis in _hypotheses(claim, same, minimum)}
    tests = []
    for hypothesis in _hypotheses(claim, panel, minimum):
        test, level = hypothesis.shown, neutral.get(hypothesis.where)
        if level is not None and test.is_defined and isfinite(level.shown.value) and test.standard_error > 0:
            tests.append(Power(level.shown.advantage, test.standard_error, test.units))
    return tests


def _hypotheses(claim: ClaimSpec, panel: Panel, minimum: MinimumLike) -> list[Hypothesis]:
    return ask(claim.form, claim.for_each, panel, minimum, {}).hypotheses


@dataclass(frozen=True)
class Design:
    """How much wider the error is by a coarser unit: the variance of one over that of the other, over all comparisons.

    `low` is its one-sided 95 % bound, from the few coarse units that there are.
    """

    unit: str
    effect: float
    low: float


def design(tests: Mapping[str, list[Shown]], *, unit: str, coarser: str) -> Design | None:
    """The design effect from the same comparisons, tested by either unit."""
    pairs = [(f, c) for f, c in zip(tests[unit], tests[coarser], strict=True) if f.is_defined and c.is_defined]
    fine = sum(test.standard_error**2 for test, _ in pairs)
    freedom = sum(test.units - 1 for _, test in pairs)
    if not pairs or fine == 0 or freedom < 2:
        return None
    effect = sum(test.standard_error**2 for _, test in pairs) / fine
    upper = 2 * float(gammaincinv(freedom / 2, 0.95))  # of chi-square
    return Design(coarser, effect, effect * freedom / upper)


def typical(values: list[float]) -> float:
    """The mean, NaN of nothing."""
    return float(np.mean(values)) if values else float("nan")
