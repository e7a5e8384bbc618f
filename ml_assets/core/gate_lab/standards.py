"""Minimal standards of a `gates:` block, held against what its recorded verdicts showed: said when a product is loaded, from a
few recorded numbers alone. `ml-assets gates backtest` measures the same on the rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from ml_assets.core.gate_lab.diagnoses import margin
from ml_assets.core.gate_lab.power import Power, typical
from ml_assets.core.gates.levels import look_level
from ml_assets.core.gates.row_units import row_trouble
from ml_assets.core.lineage.verdict_facts import ClaimFacts, VerdictFacts
from ml_assets.core.metrics.spread import Spread
from ml_assets.spec.claim_grammar import ClaimTextError, parse
from ml_assets.spec.gates import ClaimSpec, GateSpec

LEAST_PAST = 3
"""Recorded comparisons without which nothing is said of a margin."""
BEYOND = 3.0
"""A margin this many times as wide as the greatest difference that any comparison left possible guards against nothing that
happens."""
LEAST_CHANCE = 0.5
Kind = Literal["WRONG UNIT", "BEYOND HISTORY", "UNDER-POWERED"]
REFUSED: tuple[Kind, ...] = ("WRONG UNIT", "BEYOND HISTORY")
"""With these a block lets through what it must not. One that is under-powered only withholds."""


@dataclass(frozen=True)
class StandardBreach:
    """A minimal standard that a block does not keep. `sentence`: the number, and what to change."""

    kind: Kind
    sentence: str

    def __str__(self) -> str:
        """The sentence with its kind in front."""
        return f"{self.kind}: {self.sentence}"

    @property
    def is_refused(self) -> bool:
        """Whether no candidate is trained by this block until it is changed or excused by name."""
        return self.kind in REFUSED


def breaches(gates: GateSpec, past: Sequence[VerdictFacts]) -> list[StandardBreach]:
    """The objections of the recorded verdicts (oldest first) to the block. Empty without a history, and of what the block excuses
    by name."""
    return list(_breaches(gates, past))


def _breaches(gates: GateSpec, past: Sequence[VerdictFacts]) -> Iterator[StandardBreach]:
    by_row = [verdict for verdict in past if verdict.unit == "row" and verdict.design is not None]
    if gates.unit == "row" and by_row and (trouble := row_trouble(gates, by_row[-1].design)):
        yield StandardBreach("WRONG UNIT", trouble)
    for claim in gates.claims:
        if claim.name not in gates.exceptions and _is_margin(claim):
            yield from _of_margin(claim, gates, _recorded(claim, [v for v in past if v.unit == gates.unit]))


def _is_margin(claim: ClaimSpec) -> bool:
    """Whether it allows a candidate to be worse than a release, on all rows, by a margin."""
    form = claim.form
    is_difference = [weight for weight, _ in form.terms] == [1.0, -1.0] and len({m.metric for m in form.measures}) == 1
    is_whole = not claim.for_each and all(m.kind == "metric" and not m.column for m in form.measures)
    return is_difference and is_whole and "baseline" not in form.models and margin(claim) > 0


def _recorded(claim: ClaimSpec, past: Sequence[VerdictFacts]) -> list[ClaimFacts]:
    """The measurements of the same difference, whatever the limit was then."""
    return [facts for verdict in past for facts in verdict.claims if not facts.note and _is_same(facts, claim)]


def _is_same(facts: ClaimFacts, claim: ClaimSpec) -> bool:
    try:
        form = parse(facts.text)
    except ClaimTextError:
        return False
    return (form.terms, form.sign) == (claim.form.terms, claim.form.sign) and bool(facts.standard_error)


def _of_margin(claim: ClaimSpec, gates: GateSpec, recorded: Sequence[ClaimFacts]) -> Iterator[StandardBreach]:
    if len(recorded) < LEAST_PAST:
        return
    allowed, at = margin(claim), look_level(gates)
    tests = [(facts, power) for facts in recorded if (power := _power(claim, facts, allowed)) is not None]
    excuse = f"`gates: {{exceptions: {{{claim.name}: …}}}}`"
    possible = max((_possible(facts, power.spread, at) for facts, power in tests), default=0.0)
    if len(tests) >= LEAST_PAST and allowed > BEYOND * possible > 0:
        yield StandardBreach(
            "BEYOND HISTORY",
            f"{claim.name} allows {allowed:g}, and none of {len(tests)} recorded comparisons left a difference of more than "
            f"{possible:.2g} possible: nothing that happens would fail it; narrow the margin, or say why it is so wide: {excuse}",
        )
    chance = typical([power.passes(at) for _, power in tests]) if tests and claim.kind == "prove" else 1.0
    if chance < LEAST_CHANCE:
        needed = sorted(count for _, power in tests if (count := power.units_for(at, 0.8)) is not None)
        enough = f"about {needed[len(needed) // 2]:,}" if needed else "no number of"
        yield StandardBreach(
            "UNDER-POWERED",
            f"{claim.name} lets a candidate through that is no different in {100 * chance:.3g} % of windows, by "
            f"the errors of {len(tests)} recorded comparisons: {enough} {gates.unit}s would decide {allowed:g} at a level of "
            f"{100 * at:.3g} % in 80 %; widen margin or window (`ml-assets gates backtest` tries them), or say why: {excuse}",
        )


def _possible(facts: ClaimFacts, spread: Spread, level: float) -> float:
    """The greatest difference, either way, that a comparison left possible: its estimate may be small by chance alone."""
    estimate = facts.estimate or 0.0
    return max(abs(estimate - spread.reach(level, sign=1)), abs(estimate + spread.reach(level, sign=-1)))


def _power(claim: ClaimSpec, facts: ClaimFacts, allowed: float) -> Power | None:
    """The test of a candidate that is no different, by the recorded error; None where a number was not recorded."""
    read = {name: getattr(facts, name) for name in ("standard_error", "freedom", "skewness", "past_skewness")}
    if not all(value is not None and isfinite(value) for value in read.values()):
        return None
    return Power(allowed, Spread(units=facts.units, **read), 1 if claim.form.sign == ">" else -1)
