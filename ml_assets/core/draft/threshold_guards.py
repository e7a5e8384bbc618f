"""Drafted claims about what a product decides: its true and false positive rates at the threshold, as far as windows of the
history can decide them. A model may rank as well as the one before, and still catch fewer at the threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml_assets.core.gate_lab.power import powers
from ml_assets.core.gates.levels import level
from ml_assets.core.gates.panel import Panel
from ml_assets.spec.gates import BudgetSpec, ClaimSpec, MinimumSpec

WANTED = 0.9
"""The chance that a candidate which is no different passes a claim."""
NO_DIFFERENT = "a candidate that is no different passes with probability"
BUDGET = BudgetSpec()
RATES = (("tpr", "catches_as_many", "the share of positives that are caught"), ("fpr", "no_more_false_alarms", "false alarms"))
MARGINS = (0.02, 0.03, 0.05, 0.08, 0.1)
WIDEST = 0.2
"""A loss that a veto has to be able to see, four times out of five; of less data there is no guard."""


@dataclass(frozen=True)
class DraftedClaim:
    """A claim as it is written, and what the trial says of it."""

    name: str
    kind: str
    text: str
    why: str
    for_each: tuple[str, ...] = ()


def threshold_guards(windows: Sequence[Panel], minimum: MinimumSpec) -> tuple[list[DraftedClaim], list[str]]:
    """A claim about each rate that these windows (candidate and champion, scored) can decide, and notes on those that they can't:
    proven where a candidate that is no different passes nearly always, else a veto where a large loss would be seen."""
    claims: list[DraftedClaim] = []
    notes: list[str] = []
    for metric, name, words in RATES:
        claim = _proven(metric, name, words, windows, minimum) or _vetoed(metric, name, words, windows)
        if claim is not None:
            claims.append(claim)
        elif windows:
            notes.append(
                f"no claim guards {words} at the threshold ({metric}): a window of this history would not show a loss of "
                f"{WIDEST:g}; longer windows (window.test) show more"
            )
    return claims, notes


def _text(metric: str, margin: float) -> str:
    return f"{metric}(candidate) - {metric}(champion) " + (f"> -{margin:g}" if metric == "tpr" else f"< {margin:g}")


def _proven(metric: str, name: str, words: str, windows: Sequence[Panel], minimum: MinimumSpec) -> DraftedClaim | None:
    """The claim with the narrowest margin at which a candidate that is no different passes."""
    for margin in MARGINS if windows else ():
        claim = ClaimSpec(name=name, prove=_text(metric, margin))
        tests = [powers(claim, window, minimum, {}) for window in windows]
        if not all(tests):
            return None
        chance = float(np.mean([test.passes(level(BUDGET)) for by_window in tests for test in by_window]))
        if chance >= WANTED:
            return DraftedClaim(name, "prove", _text(metric, margin), f"{words} at the threshold; {NO_DIFFERENT} {chance:.2f}")
    return None


def _vetoed(metric: str, name: str, words: str, windows: Sequence[Panel]) -> DraftedClaim | None:
    """The veto with the narrowest margin, where a loss up to WIDEST would be disproven four times out of five."""
    for margin in MARGINS if windows else ():
        claim = ClaimSpec(name=name, veto=_text(metric, margin))
        tests = [window.tested(claim.form.terms, constant=claim.form.constant, sign=claim.form.sign) for window in windows]
        if not all(test.is_defined and test.spread.standard_error > 0 for test in tests):
            return None
        seen = margin + max(test.visible(level(BUDGET)) for test in tests)
        if margin <= seen <= WIDEST:
            why = (
                f"{words} at the threshold; too little data to prove it, but a loss of {seen:.2g} would be seen 4 times out of 5"
            )
            return DraftedClaim(name, "veto", _text(metric, margin), why)
    return None
