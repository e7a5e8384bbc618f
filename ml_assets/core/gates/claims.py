"""One claim, judged: PASS, FAIL or UNDECIDED, with the numbers from which that follows again (docs/gates.md).

`prove`: PASS if every hypothesis is proven at the level, FAIL if one is disproven (Holm over the claim's hypotheses).
`veto`: FAIL if one is disproven (Holm); PASS if all could be tested and none was.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import nan
from typing import Any, Literal, TypeAlias

from ml_assets.core.gates.hypotheses import (
    Expected,
    Hypotheses,
    Hypothesis,
    Past,
    bounds_in_claim_units,
    hypotheses_of,
    in_claim_units,
)
from ml_assets.core.gates.levels import holm
from ml_assets.core.gates.panel import MinimumLike, Panel
from ml_assets.core.gates.worst_case import worst_case_sentence
from ml_assets.core.metrics.intervals import finite_or_none
from ml_assets.spec.gates import ClaimSpec

Outcome: TypeAlias = Literal["PASS", "FAIL", "UNDECIDED"]


@dataclass(frozen=True, kw_only=True)
class HypothesisNumbers:
    """The numbers that decide one hypothesis. `low` and `high` are one-sided bounds at the level, `p` is what decides: for prove
    that of the proof, for veto Holm's adjusted p of the disproof. The others are those of core.metrics.spread; `own_correlation`,
    `squares` and `cubes` are what later windows learn from this one."""

    estimate: float = nan
    standard_error: float = nan
    freedom: float = nan
    low: float = nan
    high: float = nan
    p: float = nan
    skewness: float = nan
    past_skewness: float = nan
    correlation: float = nan
    effective_units: float = nan
    own_correlation: float = nan
    squares: float = nan
    cubes: float = nan
    past: int = 0
    units: int = 0
    rows: int = 0


@dataclass(frozen=True, kw_only=True)
class HypothesisResult(HypothesisNumbers):
    """One hypothesis of a claim."""

    where: str
    outcome: Outcome
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ClaimResult(HypothesisNumbers):
    """A claim's outcome and numbers. The numbers on top are those of its worst part. Of a mean, `worst_low` and `worst_high`
    are the least and the greatest estimate that the outcomes of the `unknown` rows could make (core.gates.worst_case)."""

    name: str
    kind: Literal["prove", "veto"]
    text: str
    outcome: Outcome
    message: str
    sign: Literal[">", "<"]
    limit: float
    further_units: int | None = None
    detectable: float = nan
    worst_low: float = nan
    worst_high: float = nan
    unknown: int = 0
    parts: tuple[HypothesisResult, ...] = ()
    missing: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; what is not finite is null."""
        numbers = _finite(asdict(self))
        return numbers | {"missing": list(self.missing), "parts": [_finite(asdict(part)) for part in self.parts]}


def judge_claim(
    claim: ClaimSpec,
    panel: Panel,
    *,
    level: float,
    minimum: MinimumLike,
    expected: Expected,
    past: Past | None = None,
) -> ClaimResult:
    """Hold one claim against the rows; `past` is what earlier windows showed of it."""
    hypotheses = hypotheses_of(claim.form, claim.for_each, panel, minimum, expected, past=past)
    return _tested(claim, hypotheses, level)


def _tested(claim: ClaimSpec, tests: Hypotheses, level: float) -> ClaimResult:
    disproof = holm([hypothesis.shown.p_disproof for hypothesis in tests.hypotheses])
    judged = [
        (_part(hypothesis, against, level, claim), hypothesis)
        for hypothesis, against in zip(tests.hypotheses, disproof, strict=True)
    ]
    judged.sort(key=lambda pair: _badness(*pair), reverse=True)
    parts = [part for part, _ in judged]
    missing = (*tests.missing, *tests.too_small)
    outcome = outcome_of([part.outcome for part in parts], missing)
    result = ClaimResult(
        name=claim.name,
        kind=claim.kind,
        text=claim.text,
        outcome=outcome,
        message="; ".join(_message_parts(claim, judged, tests, level)) or "nothing to test",
        sign=claim.form.sign,
        limit=claim.form.constant,
        parts=tuple(parts) if len(parts) > 1 or any(part.where for part in parts) else (),
        missing=missing,
    )
    if not judged:
        return result
    worst, hypothesis = judged[0]
    bounds = tests.worst.get(worst.where)
    return replace(
        result,
        worst_low=bounds.low if bounds else nan,
        worst_high=bounds.high if bounds else nan,
        unknown=bounds.unknown if bounds else 0,
        **{number.name: getattr(worst, number.name) for number in fields(HypothesisNumbers)},
        further_units=hypothesis.shown.further_units(level) if outcome == "UNDECIDED" else None,
        detectable=nan if hypothesis.on_log else hypothesis.shown.detectable(level),
    )


def _part(hypothesis: Hypothesis, against: float, level: float, claim: ClaimSpec) -> HypothesisResult:
    test, spread, sums = hypothesis.shown, hypothesis.shown.spread, hypothesis.shown.spread.sums
    low, high = bounds_in_claim_units(test, claim.form, level)
    return HypothesisResult(
        where=hypothesis.where,
        outcome=decided(claim.kind, test.is_defined, proof=test.p_proof, against=against, level=level),
        estimate=in_claim_units(test.value, claim.form),
        standard_error=spread.standard_error,
        freedom=spread.freedom,
        low=low,
        high=high,
        p=test.p_proof if claim.kind == "prove" else against,
        skewness=spread.skewness,
        past_skewness=spread.past_skewness,
        correlation=spread.correlation,
        effective_units=spread.effective_units,
        own_correlation=sums.correlation if sums else nan,
        squares=sums.squares if sums else nan,
        cubes=sums.cubes if sums else nan,
        past=spread.past,
        units=spread.units,
        rows=hypothesis.rows,
        note=test.note,
    )


def decided(kind: str, is_defined: bool, *, proof: float, against: float, level: float) -> Outcome:
    """Every comparison is written so that NaN proves nothing and passes nothing."""
    if not is_defined:
        return "UNDECIDED"
    if against <= level:
        return "FAIL"
    if kind == "veto":
        return "PASS" if against > level else "UNDECIDED"
    return "PASS" if proof <= level else "UNDECIDED"


def outcome_of(parts: Sequence[Outcome], missing: Sequence[str]) -> Outcome:
    """A level that should be there and is not, a group that is too small, or nothing that could be tested, is never a PASS."""
    outcomes = set(parts)
    if "FAIL" in outcomes:
        return "FAIL"
    return "PASS" if outcomes == {"PASS"} and not missing else "UNDECIDED"


def _badness(part: HypothesisResult, hypothesis: Hypothesis) -> tuple[int, float]:
    """Failed before undefined before undecided before passed; within that, the furthest on the false side in its own errors."""
    rank = {"FAIL": 3, "UNDECIDED": 1, "PASS": 0}[part.outcome] + (1 if part.note else 0)
    test = hypothesis.shown
    if not test.is_defined:
        return rank, 0.0
    error = test.spread.standard_error
    return rank, -test.advantage / error if error > 0 else -test.advantage


def _message_parts(
    claim: ClaimSpec, judged: Sequence[tuple[HypothesisResult, Hypothesis]], tests: Hypotheses, level: float
) -> Iterator[str]:
    """The results, worst first, with what would decide an open one."""
    for worst, hypothesis in judged[:1]:
        subject = f"{worst.where}: " if worst.where else ""
        yield f"{subject}{_finding(claim, worst, level)}"
        if worst.outcome == "UNDECIDED" and hypothesis.shown.is_defined:
            yield _needed(hypothesis, level)
        if worst.outcome == "PASS" and claim.kind == "veto":
            yield _unseen(claim, hypothesis, level / len(judged))
    yield from (f"{level_name} is missing from the window" for level_name in tests.missing)
    if judged:
        yield from (f"too small to be judged: {group}" for group in tests.too_small)
    if len(judged) > 1:
        yield f"the worst of {len(judged)} {'pairs' if claim.form.measures[0].kind == 'ratio' else 'slices'}"
    yield from (_basis(worst) for worst, _ in judged[:1] if not worst.note)
    for worst, _ in judged[:1]:
        yield from worst_case_sentence(tests.worst.get(worst.where), claim.form.sign, claim.form.constant)
    if not judged:
        yield from tests.too_small


def _needed(hypothesis: Hypothesis, level: float) -> str:
    test = hypothesis.shown
    if test.spread.standard_error == 0:
        return f"the same in all {test.spread.units} units, which tells no error"
    more = test.further_units(level)
    needed = "more than 100,000 units would be needed" if more is None else f"about {more:,} more units like these would decide"
    if hypothesis.on_log:
        return needed
    return f"{needed}; {test.spread.units} show, 4 times out of 5, what is {test.detectable(level):.2g} inside the limit"


def _unseen(claim: ClaimSpec, hypothesis: Hypothesis, level: float) -> str:
    """The power of a veto: up to where the truth may be beyond the limit, and would not be disproven."""
    test, outwards = hypothesis.shown, -1 if claim.form.sign == ">" else 1
    edge = in_claim_units(test.constant + outwards * test.visible(level), claim.form)
    return f"a truth of {edge:.3g} would go unseen once in 5 times, and a nearer one more often"


def _basis(part: HypothesisResult) -> str:
    """The number of units, and the number of independent ones that they count as."""
    lean = min(part.skewness, part.past_skewness, key=lambda skewness: -abs(skewness))
    past = f", {part.past} past window{'s' if part.past != 1 else ''}" if part.past else ""
    return f"{part.units:,} units worth {part.effective_units:,.3g} (r {part.correlation:.2f}, lean {lean:.2f}{past})"


def _finding(claim: ClaimSpec, worst: HypothesisResult, level: float) -> str:
    """Estimate, the bound that decides, and what follows: "0.0026, at least -0.0105 (99 %): not proven > -0.005"."""
    if worst.note:
        return f"cannot be tested: {worst.note}"
    is_low = (claim.form.sign == ">") == (claim.kind == "prove" and worst.outcome != "FAIL")
    bound = f"at least {_number_text(worst.low)}" if is_low else f"at most {_number_text(worst.high)}"
    passed = "not disproven" if claim.kind == "veto" else "proven"
    conclusion = {"PASS": passed, "FAIL": "disproven", "UNDECIDED": "not proven"}[worst.outcome]
    limit = f"{claim.form.sign} {claim.form.constant:g}"
    return f"{_number_text(worst.estimate)}, {bound} ({100 * (1 - level):.4g} %): {conclusion} {limit}"


def _number_text(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.4g}"


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: finite_or_none(value) if isinstance(value, float) else value for name, value in values.items()}
