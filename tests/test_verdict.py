"""The decision, and that nothing undefined ever passes it."""

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_assets.core.verdict import Verdict, VerdictError, judge

from ml_assets.core.curves import Curves
from ml_assets.core.evaluation_result import Comparison, Evaluation
from ml_assets.core.intervals import Estimate

NAN, INFINITY = float("nan"), float("inf")
NOT_FINITE = st.sampled_from([NAN, INFINITY, -INFINITY])
VALUES = st.floats(0, 1)


@dataclass(frozen=True)
class Claim:
    """The fields of a claim of product.yaml."""

    name: str
    metric: str = "roc_auc"
    margin: float | None = None
    minimum: float | None = None
    maximum: float | None = None


NOT_WORSE = Claim("not_worse", margin=0.005)
FLOOR = Claim("floor", minimum=0.6)
CEILING = Claim("ceiling", metric="brier", maximum=0.2)
CLAIMS = (NOT_WORSE, FLOOR, CEILING)


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value, units=30, rows=1000)


def comparison(metric: str, candidate: float, champion: float | None) -> Comparison:
    if champion is None:
        return Comparison(metric=metric, candidate=estimate(candidate))
    difference = estimate(candidate - champion)
    return Comparison(metric=metric, candidate=estimate(candidate), champion=estimate(champion), difference=difference)


def evaluation(*comparisons: Comparison) -> Evaluation:
    return Evaluation(
        task="binary",
        level=0.95,
        threshold=0.5,
        rows=1000,
        units=30,
        positives=200,
        overall=comparisons,
        slices=(),
        confusion={},
        curves=Curves(),
    )


def measured(candidate: float = 0.74, champion: float | None = 0.735, brier: float = 0.1) -> Evaluation:
    return evaluation(comparison("roc_auc", candidate, champion), comparison("brier", brier, None if champion is None else 0.1))


def decide(evaluated: Evaluation, *claims: Claim, has_champion: bool = True) -> Verdict:
    return judge(evaluated, claims or CLAIMS, has_champion=has_champion)


def test_a_candidate_that_keeps_every_claim_is_accepted() -> None:
    verdict = decide(measured())
    assert verdict.is_accept
    assert verdict.reasons == ()
    assert [each.passed for each in verdict.claims] == [True, True, True]


def test_a_rejection_lists_every_reason() -> None:
    verdict = decide(measured(candidate=0.5, brier=0.3))
    assert verdict.decision == "REJECT"
    assert [reason.split(":")[0] for reason in verdict.reasons] == ["not_worse", "floor", "ceiling"]
    assert "0.235 worse" in verdict.reasons[0]


@pytest.mark.parametrize(("candidate", "passed"), [(0.7301, True), (0.7299, False)])
def test_a_margin_is_by_how_much_the_candidate_may_be_worse(candidate: float, passed: bool) -> None:
    assert decide(measured(candidate=candidate), NOT_WORSE).is_accept is passed


@pytest.mark.parametrize(
    ("metric", "candidate", "champion", "accepted"),
    [
        ("roc_auc", 0.9, 0.7, True),
        ("roc_auc", 0.7, 0.9, False),
        ("log_loss", 0.3, 0.4, True),
        ("log_loss", 0.4, 0.3, False),
        ("mae", 2.0, 3.0, True),
        ("mae", 3.0, 2.0, False),
        ("bias", -0.1, -0.4, True),
        ("bias", -0.4, 0.1, False),
    ],
)
def test_better_means_what_it_means_for_the_metric(metric: str, candidate: float, champion: float, accepted: bool) -> None:
    found = decide(evaluation(comparison(metric, candidate, champion)), Claim("not_worse", metric, margin=0.01))
    assert found.is_accept is accepted


def test_on_a_first_release_margins_do_not_apply_and_absolute_claims_decide() -> None:
    verdict = decide(measured(champion=None), has_champion=False)
    assert verdict.is_accept
    assert [each.passed for each in verdict.claims] == [None, True, True]
    assert "first release" in verdict.claims[0].message
    assert decide(measured(candidate=0.5, champion=None), has_champion=False).decision == "REJECT"


def test_a_first_release_with_margins_only_has_proven_nothing() -> None:
    verdict = decide(measured(champion=None), NOT_WORSE, has_champion=False)
    assert verdict.decision == "INCONCLUSIVE"
    assert "no absolute claim" in verdict.reasons[0]


@pytest.mark.parametrize("has_champion", [True, False])
def test_without_a_claim_nothing_is_accepted(has_champion: bool) -> None:
    evaluated = measured(champion=0.7 if has_champion else None)
    assert judge(evaluated, (), has_champion=has_champion).decision == "INCONCLUSIVE"


def test_a_champion_that_was_not_scored_is_a_rejection_and_not_a_first_release() -> None:
    verdict = decide(measured(champion=None), has_champion=True)
    assert verdict.decision == "REJECT"
    assert "not measured" in verdict.reasons[0]


def test_a_champion_that_was_scored_cannot_be_said_away() -> None:
    with pytest.raises(VerdictError, match="evaluate again"):
        decide(measured(), has_champion=False)


@pytest.mark.parametrize(
    "claim", [Claim("c", "pr_auc", margin=0.1), Claim("c", "pr_auc", minimum=0.1), Claim("c", "pr_auc", maximum=1)]
)
def test_a_claim_about_what_was_not_measured_fails(claim: Claim) -> None:
    verdict = decide(measured(), claim)
    assert verdict.decision == "REJECT"
    assert "not measured" in verdict.reasons[0]


@pytest.mark.parametrize(
    "claim",
    [
        Claim("c"),
        Claim("c", margin=0.1, minimum=0.5),
        Claim("c", margin=-0.1),
        Claim("c", margin=NAN),
        Claim("c", margin=INFINITY),
        Claim("c", minimum=NAN),
        Claim("c", minimum=-INFINITY),
        Claim("c", maximum=NAN),
        Claim("c", maximum=INFINITY),
    ],
)
def test_a_claim_without_one_finite_limit_is_an_error(claim: Claim) -> None:
    with pytest.raises(VerdictError, match="claim c"):
        decide(measured(), claim)


def test_two_claims_of_one_name_are_an_error() -> None:
    with pytest.raises(VerdictError, match="one name"):
        decide(measured(), FLOOR, replace(FLOOR, minimum=0.1))


@given(
    bad=NOT_FINITE,
    place=st.sampled_from(["candidate", "champion", "brier"]),
    value=VALUES,
    claims=st.sets(st.sampled_from(CLAIMS)),
)
def test_a_value_that_is_not_finite_never_passes(bad: float, place: str, value: float, claims: set[Claim]) -> None:
    evaluated = measured(**({"candidate": value, "champion": value, "brier": 0.1} | {place: bad}))
    verdict = judge(evaluated, tuple(claims), has_champion=True)
    assert verdict.decision == "REJECT"
    assert any("not a finite number" in reason for reason in verdict.reasons)
    json.dumps(verdict.to_dict(), allow_nan=False)


@given(bad=NOT_FINITE, claims=st.sets(st.sampled_from(CLAIMS)))
def test_a_value_that_is_not_finite_never_passes_on_a_first_release(bad: float, claims: set[Claim]) -> None:
    assert judge(measured(candidate=bad, champion=None), tuple(claims), has_champion=False).decision == "REJECT"


@given(bad=NOT_FINITE, claim=st.sampled_from([NOT_WORSE, FLOOR, replace(CEILING, metric="roc_auc")]))
def test_no_single_claim_passes_on_a_value_that_is_not_finite(bad: float, claim: Claim) -> None:
    for values in (
        {"candidate": bad},
        {"candidate": bad, "champion": bad},
        {"champion": bad} if claim.margin else {"candidate": bad},
    ):
        assert decide(measured(**values), claim).claims[0].passed is False


@given(a=VALUES, b=VALUES)
def test_swapping_the_models_negates_the_advantage(a: float, b: float) -> None:
    one, other = (decide(measured(candidate=x, champion=y), NOT_WORSE).claims[0] for x, y in ((a, b), (b, a)))
    assert one.value == -other.value


@given(a=VALUES, b=VALUES, margins=st.tuples(VALUES, VALUES))
def test_a_wider_margin_never_rejects_what_a_narrower_one_accepts(a: float, b: float, margins: tuple[float, float]) -> None:
    narrow, wide = (decide(measured(candidate=a, champion=b), Claim("c", margin=m)).is_accept for m in sorted(margins))
    assert wide or not narrow


@given(a=VALUES, b=VALUES, gain=st.floats(0, 0.5))
def test_a_better_candidate_is_never_rejected_where_a_worse_one_is_accepted(a: float, b: float, gain: float) -> None:
    worse, better = (decide(measured(candidate=x, champion=b), NOT_WORSE, FLOOR).is_accept for x in (a, a + gain))
    assert better or not worse


@given(candidate=VALUES, champion=VALUES, brier=VALUES)
def test_accept_means_that_every_claim_passed(candidate: float, champion: float, brier: float) -> None:
    verdict = decide(measured(candidate=candidate, champion=champion, brier=brier))
    assert verdict.is_accept == (verdict.reasons == ()) == all(each.passed is True for each in verdict.claims)
