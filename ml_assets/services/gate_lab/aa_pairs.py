"""A/A pairs: models that differ by nothing but the seed, on the window and on windows of its units drawn again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ml_assets.core.gate_lab.resampling import clopper_pearson, redrawn
from ml_assets.core.gates.panel import Panel
from ml_assets.core.gates.verdict import Verdict, judge
from ml_assets.core.metrics.arrays import Floats
from ml_assets.services.gate_lab.subject import MutationSubject

SEED = 20130101


@dataclass
class Tally:
    """The number of times that each claim, and "verdict" for all of them, stopped a pair of which neither model is better."""

    pairs: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    undecided: dict[str, int] = field(default_factory=dict)

    def add(self, verdict: Verdict) -> None:
        """Count the outcomes of one pair."""
        self.pairs += 1
        outcomes = {claim.name: claim.outcome for claim in verdict.claims}
        words = {"ACCEPT": "PASS", "REJECT": "FAIL", "INCONCLUSIVE": "UNDECIDED"}
        for name, outcome in {**outcomes, "verdict": words[verdict.decision]}.items():
            self.failed[name] = self.failed.get(name, 0) + (outcome == "FAIL")
            self.undecided[name] = self.undecided.get(name, 0) + (outcome == "UNDECIDED")

    def rows(self) -> list[dict[str, object]]:
        """One row per claim: shares of pairs, with the exact 95 % interval of those that were stopped."""
        findings = []
        for name, failed in self.failed.items():
            low, high = clopper_pearson(failed + self.undecided[name], self.pairs)
            findings.append(
                {
                    "claim": name,
                    "pairs": self.pairs,
                    "failed": failed,
                    "undecided": self.undecided[name],
                    "blocked": (failed + self.undecided[name]) / self.pairs,
                    "low": low,
                    "high": high,
                }
            )
        return findings


def seeds(on: MutationSubject, *, count: int) -> list[Floats]:
    """The candidate's scores, and those of the same recipe with other seeds."""
    first = on.product.model.seed
    others = (on.scored(on.fitted(on.trained, seed=first + 1 + number)) for number in range(count - 1))
    return [on.case.scores["candidate"], *others]


def tally(on: MutationSubject, scores: list[Floats], *, draws: int, tell: Callable[[str], None] = lambda _: None) -> Tally:
    """Judge every ordered pair on the window itself, then `draws` pairs on windows drawn again. `tell` hears how far it is."""
    tally = Tally()
    random = np.random.default_rng(SEED)
    panels = list(_pairs(on, scores))
    for panel in panels:
        tally.add(_judged(on, panel))
    for number in range(draws):
        tell(f"A/A: {number} of {draws} windows drawn again")
        tally.add(_judged(on, redrawn(panels[number % len(panels)], random)))
    return tally


def _pairs(on: MutationSubject, scores: list[Floats]) -> Iterator[Panel]:
    for one in range(len(scores)):
        for other in range(len(scores)):
            if one != other:
                yield on.case.panel(
                    {"candidate": scores[one], "champion": scores[other], "anchor": scores[other], **on.case.simple}
                )


def _judged(on: MutationSubject, panel: Panel) -> Verdict:
    """Without asking for rare levels, which a window drawn again may well miss."""
    return judge(on.product, panel)
