"""Minimal standards of a `gates:` block, held against what its recorded verdicts showed: said when a product is loaded, from a
few recorded numbers alone. `ml-assets gates backtest` measures the same on the rows.
"""

from collections.abc import Iterator, Sequence
from math import isfinite

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
"""A margin this many times as wide as the greatest difference that any comparison showed guards against nothing that happens."""
LEAST_CHANCE = 0.5


def breaches(gates: GateSpec, past: Sequence[VerdictFacts]) -> list[str]:
    """What the recorded verdicts (oldest first) say against the block: one sentence each, with its number and what to change.
    Empty without a history, and of what the block excuses by name."""
    return list(_breaches(gates, past))


def _breaches(gates: GateSpec, past: Sequence[VerdictFacts]) -> Iterator[str]:
    by_row = [verdict for verdict in past if verdict.unit == "row" and verdict.design is not None]
    if gates.unit == "row" and by_row and (trouble := row_trouble(gates, by_row[-1].design)):
        yield f"WRONG UNIT: {trouble}"
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
    """What was measured of the same difference, whatever the limit was then."""
    return [facts for verdict in past for facts in verdict.claims if not facts.note and _is_same(facts, claim)]


def _is_same(facts: ClaimFacts, claim: ClaimSpec) -> bool:
    try:
        form = parse(facts.text)
    except ClaimTextError:
        return False
    return (form.terms, form.sign) == (claim.form.terms, claim.form.sign) and bool(facts.standard_error)


def _of_margin(claim: ClaimSpec, gates: GateSpec, recorded: Sequence[ClaimFacts]) -> Iterator[str]:
    if len(recorded) < LEAST_PAST:
        return
    allowed, at = margin(claim), look_level(gates)
    greatest = max(abs(facts.estimate) for facts in recorded if facts.estimate is not None)
    excuse = f"`gates: {{exceptions: {{{claim.name}: …}}}}`"
    if allowed > BEYOND * greatest > 0:
        yield (
            f"BEYOND HISTORY: {claim.name} allows {allowed:g}, and none of {len(recorded)} recorded comparisons differed by more "
            f"than {greatest:.2g}: nothing that happens would fail it; narrow the margin, or say why it is so wide: {excuse}"
        )
    tests = [power for facts in recorded if (power := _power(claim, facts, allowed)) is not None]
    chance = typical([test.passes(at) for test in tests]) if tests and claim.kind == "prove" else 1.0
    if chance < LEAST_CHANCE:
        needed = sorted(count for test in tests if (count := test.units_for(at, 0.8)) is not None)
        enough = f"about {needed[len(needed) // 2]:,}" if needed else "no number of"
        yield (
            f"UNDER-POWERED: {claim.name} lets a candidate through that is no different in {100 * chance:.3g} % of windows, by "
            f"the errors of {len(tests)} recorded comparisons: {enough} {gates.unit}s would decide {allowed:g} at a level of "
            f"{100 * at:.3g} % in 80 %; widen margin or window (`ml-assets gates backtest` tries them), or say why: {excuse}"
        )


def _power(claim: ClaimSpec, facts: ClaimFacts, allowed: float) -> Power | None:
    """The test of a candidate that is no different, by the recorded error; None where a number was not recorded."""
    read = {name: getattr(facts, name) for name in ("standard_error", "freedom", "skewness", "past_skewness")}
    if not all(value is not None and isfinite(value) for value in read.values()):
        return None
    return Power(allowed, Spread(units=facts.units, **read), 1 if claim.form.sign == ">" else -1)
