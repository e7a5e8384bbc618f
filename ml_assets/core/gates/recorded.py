"""The check of a recorded claim: its outcome again, from nothing but its numbers and what product.yaml asks.

Belongs here: distrust of what was written down. Does not: measuring (panel.py), deciding (claims.py).
"""

from collections.abc import Sequence
from math import inf, isclose, isfinite, log, nan

from ml_assets.core.gates.bounds import ClaimEvidence
from ml_assets.core.gates.claims import Outcome, decided, outcome_of
from ml_assets.core.gates.hypotheses import bounds_in_claim_units
from ml_assets.core.gates.levels import holm
from ml_assets.core.lineage.verdict_facts import ClaimFacts, HypothesisFacts
from ml_assets.core.metrics.spread import MOST_CORRELATION, Spread, inflation
from ml_assets.spec.claim_grammar import ClaimForm, ClaimTextError, parse

NUMBERS = ("estimate", "standard_error", "freedom", "low", "high", "p", "skewness", "past_skewness")
TOLERANCE = 1e-6


def outcome_again(claim: ClaimFacts, *, level: float) -> Outcome:
    """The outcome of a recorded claim from its numbers, whatever it says of itself.

    p and bounds follow from the other numbers; where they do not, or a number is missing or none, it decides
    nothing. The limit is that of the text.
    """
    form = _form(claim)
    if form is None or claim.missing is None:
        return "UNDECIDED"
    rows: Sequence[HypothesisFacts] = claim.parts or (claim,)
    tests = [_test(row, form) for row in rows]
    kind, against = claim.kind, holm([test.p_disproof for test in tests])
    outcomes = [
        decided(kind, test.is_defined, proof=test.p_proof, against=p, level=level)
        if _agrees(row, test, p=test.p_proof if kind == "prove" else p, form=form, level=level)
        else "UNDECIDED"
        for row, test, p in zip(rows, tests, against, strict=True)
    ]
    return outcome_of(outcomes, claim.missing)


def is_proven_at(claim: ClaimFacts, constant: float, *, level: float) -> bool:
    """Whether a recorded claim of one hypothesis would be proven with another constant."""
    form = _form(claim)
    return form is not None and len(claim.parts) < 2 and _test(claim, form, constant=constant).p_proof <= level


def _form(claim: ClaimFacts) -> ClaimForm | None:
    """The parsed text, if limit and sign agree with it."""
    try:
        form = parse(claim.text)
    except ClaimTextError:
        return None
    is_same = claim.limit == form.constant and claim.sign == form.sign
    return form if is_same and claim.kind in ("prove", "veto") else None


def _test(numbers: HypothesisFacts, form: ClaimForm, constant: float | None = None) -> ClaimEvidence:
    read = {name: _number(getattr(numbers, name)) for name in NUMBERS}
    note = numbers.note or ("" if all(map(isfinite, read.values())) else "a number is missing")
    spread = Spread(
        standard_error=read["standard_error"],
        units=numbers.units,
        freedom=read["freedom"],
        skewness=read["skewness"],
        past_skewness=read["past_skewness"],
    )
    return ClaimEvidence(
        value=_scaled(read["estimate"], form),
        spread=spread,
        constant=_scaled(form.constant if constant is None else constant, form),
        sign=form.sign,
        note=note,
        is_certain=read["estimate"] == read["standard_error"] == 0 and _may_cancel(form),
    )


def _may_cancel(form: ClaimForm) -> bool:
    """Whether the form is 0 for models that are alike."""
    weights: dict[str, float] = {}
    for weight, measure in form.terms:
        if measure.kind != "disagreement":
            weights[measure.metric] = weights.get(measure.metric, 0.0) + weight
    return not any(weights.values())


def _agrees(numbers: HypothesisFacts, test: ClaimEvidence, *, p: float, form: ClaimForm, level: float) -> bool:
    """Whether the recorded p and bounds are those of the other numbers, and the freedom is what as many units can have."""
    r, worth = _number(numbers.correlation), _number(numbers.effective_units)
    if not test.is_defined or not 0 <= r <= MOST_CORRELATION or test.spread.freedom > max(2.0, worth - 1) * (1 + TOLERANCE):
        return False
    low, high = bounds_in_claim_units(test, form, level)
    pairs = [(numbers.p, p), (numbers.low, low), (numbers.high, high), (worth, numbers.units / inflation(r, numbers.units))]
    return all(isclose(_number(is_now), due, rel_tol=TOLERANCE, abs_tol=TOLERANCE**2) for is_now, due in pairs)


def _scaled(number: float, form: ClaimForm) -> float:
    """A number on the scale of the test: ratios are tested as logarithms."""
    if form.measures[0].kind != "ratio":
        return number
    return log(number) if number > 0 else -inf if number <= 0 else nan


def _number(value: float | None) -> float:
    return nan if value is None else value
