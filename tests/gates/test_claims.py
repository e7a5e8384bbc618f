"""Claims: what the numbers prove, what they leave open, and that nothing undefined ever passes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from ml_assets.core.gates.bounds import ClaimEvidence
from ml_assets.core.gates.claims import ClaimResult
from ml_assets.core.gates.panel import Panel, panel
from ml_assets.core.metrics.estimates import MetricError
from ml_assets.spec.gates import MinimumSpec
from tests.support.gated import LEVEL, arguments, claim, judged, reordered, spread, window

RELATIVE = "roc_auc(candidate) - roc_auc(champion) > -0.05"
PR_AUC = "pr_auc(candidate) - pr_auc(champion) > -0.2"
TEXTS = [
    RELATIVE,
    "roc_auc(candidate) > 0.6",
    "brier(candidate) - brier(champion) < 0.02",
    "log_loss(candidate) < 0.7",
    "tpr(candidate) - fpr(candidate) > 0.1",
    "accuracy(candidate) - 0.5 * accuracy(champion) > 0.1",
    "selection_rate(candidate) < 0.8",
    "disagreement(candidate, champion) < 0.5",
    "tpr(candidate, line=A) - tpr(candidate, line=B) > -0.3",
    "brier(candidate, line=A) < 0.4",
    PR_AUC,
    "calibration_error(candidate) < 0.4",
]
NUMBERS = ("estimate", "standard_error", "low", "high", "p")


def numbers(result: ClaimResult) -> list[float]:
    return [getattr(result, name) for name in NUMBERS]


def with_scores(rows: Panel, **scores: Any) -> Panel:
    return replace(rows, scores={**rows.scores, **scores})


def pairs(*, units: int, mean: float, spread: float, seed: int = 0, rows: int = 10) -> Panel:
    """A regression whose bias of the candidate varies by unit, and by nothing else."""
    random = np.random.default_rng(seed)
    bias = np.repeat(mean + spread * random.standard_normal(units), rows)
    y = random.normal(0, 1, bias.size)
    return panel(task="regression", y=y, scores={"candidate": y + bias}, unit=np.repeat(np.arange(units), rows), columns={})


def test_symmetric_units_are_held_against_the_t_interval_of_their_means() -> None:
    rows = pairs(units=25, mean=1, spread=0.5)
    means = (rows.scores["candidate"] - rows.y).reshape(25, -1).mean(axis=1)
    means = np.concatenate([means, 2 * means.mean() - means])  # without skewness
    mirrored = panel(task="regression", y=np.zeros(50), scores={"candidate": means}, unit=np.arange(50), columns={})
    claim = judged("bias(candidate) > 0.5", mirrored)
    error = means.std(ddof=1) / np.sqrt(50)
    assert claim.estimate == pytest.approx(means.mean())
    assert claim.standard_error == pytest.approx(error)
    assert claim.low == pytest.approx(means.mean() - t.ppf(1 - LEVEL, 49) * error)
    assert claim.high == pytest.approx(means.mean() + t.ppf(1 - LEVEL, 49) * error)
    assert claim.p == pytest.approx(t.sf((means.mean() - 0.5) / error, 49), rel=1e-6)


@pytest.mark.parametrize(("constant", "outcome"), [(0.0, "PASS"), (1.0, "UNDECIDED"), (2.0, "FAIL")])
@pytest.mark.parametrize("kind", ["prove", "veto"])
def test_a_claim_passes_is_undecided_or_fails(constant: float, outcome: str, kind: str) -> None:
    claim = judged(f"bias(candidate) > {constant}", pairs(units=30, mean=1, spread=0.5), kind)
    assert claim.outcome == ("PASS" if kind == "veto" and outcome == "UNDECIDED" else outcome)


@pytest.mark.parametrize("sign", [1, -1])
@given(
    value=st.floats(-5, 5),
    error=st.floats(1e-3, 5),
    units=st.integers(2, 200),
    skewness=st.floats(-2, 2),
    level=st.floats(1e-4, 0.4),
)
@settings(max_examples=60)
def test_p_and_bound_say_the_same(sign: int, value: float, error: float, units: int, skewness: float, level: float) -> None:
    test = ClaimEvidence(value, spread(error, units, skewness), 0.0, ">" if sign > 0 else "<")
    bound = value - test.below(level) if sign > 0 else -(value + test.above(level))
    if abs(bound) > 1e-6:
        assert (test.p_proof <= level) == (bound > 0)
    opposite = value + test.above(level) if sign > 0 else -(value - test.below(level))
    if abs(opposite) > 1e-6:
        assert (test.p_disproof <= level) == (opposite < 0)
    assert test.p_proof + test.p_disproof >= 1 - 1e-9
    assert min(test.below(level), test.above(level)) >= t.ppf(1 - level, max(2, units - 1)) * error * (1 - 1e-9)


@given(value=st.floats(-5, 5), error=st.floats(1e-3, 5), units=st.integers(2, 200), skewness=st.floats(-2, 2))
def test_a_claim_turned_around_has_the_same_numbers(value: float, error: float, units: int, skewness: float) -> None:
    one = ClaimEvidence(value, spread(error, units, skewness), 0.3, ">")
    other = ClaimEvidence(-value, spread(error, units, -skewness), -0.3, "<")
    assert one.p_proof == pytest.approx(other.p_proof, abs=1e-12)
    assert one.below(0.01) == pytest.approx(other.above(0.01))


def test_skewness_makes_a_proof_harder_where_it_hides_what_speaks_against_it_and_never_easier() -> None:
    plain = ClaimEvidence(1.0, spread(0.4, 20), 0.0, ">")
    assert ClaimEvidence(1.0, spread(0.4, 20, -0.3), 0.0, ">").p_proof > plain.p_proof
    assert ClaimEvidence(1.0, spread(0.4, 20, 0.3), 0.0, ">").p_proof == plain.p_proof


def test_a_proof_gets_harder_without_a_step_as_units_lean() -> None:
    leans = np.linspace(-0.6, 0.1, 71)
    claim = [ClaimEvidence(1.0, spread(0.3, 30, float(lean)), 0.0, ">").p_proof for lean in leans]
    steps = np.diff(np.log(claim))
    assert (steps <= 1e-12).all()
    assert steps.min() > -0.2  # what a hundredth more of it costs, as a share of p


def test_the_units_that_are_asked_for_would_decide() -> None:
    claim = judged("bias(candidate) > 0.8", pairs(units=20, mean=1, spread=0.5, seed=3))
    assert claim.outcome == "UNDECIDED"
    assert claim.further_units is not None
    enough = 20 + claim.further_units
    for units, decides in ((enough, True), (enough - 1, False)):
        share = np.sqrt(20 / units)
        again = ClaimEvidence(claim.estimate, spread(claim.standard_error * share, units, claim.skewness * share), 0.8, ">")
        assert (again.p_proof <= LEVEL) is decides


def test_what_is_detectable_is_shown_four_times_out_of_five() -> None:
    seen = [judged("bias(candidate) > 0", pairs(units=30, mean=0, spread=1, seed=s)).detectable for s in range(100)]
    inside = float(np.mean(seen))
    shown = [judged("bias(candidate) > 0", pairs(units=30, mean=inside, spread=1, seed=s)).outcome for s in range(1, 400)]
    assert 0.7 <= shown.count("PASS") / len(shown) <= 0.9


def test_a_veto_that_passes_says_what_it_would_not_see() -> None:
    messages = [judged("bias(candidate) < 1.5", pairs(units=30, mean=1, spread=1, seed=s), "veto").message for s in range(60)]
    edge = np.mean([float(message.split("a truth of ")[1].split(" ")[0]) for message in messages])
    seen = [judged("bias(candidate) < 1.5", pairs(units=30, mean=edge, spread=1, seed=s), "veto").outcome for s in range(1, 300)]
    assert 0.7 <= seen.count("FAIL") / len(seen) <= 0.9


def test_a_finding_says_what_the_units_were_worth() -> None:
    claim = judged("bias(candidate) > 0", pairs(units=30, mean=1, spread=0.5))
    assert claim.message.endswith("30 units worth 30 (r 0.00, lean " + f"{claim.skewness:.2f})")


# --- nothing undefined passes ---


@pytest.mark.parametrize("kind", ["prove", "veto"])
@pytest.mark.parametrize("text", TEXTS)
def test_one_unit_never_passes(text: str, kind: str) -> None:
    given = arguments(rows=300)
    claim = judged(text, panel(**given | {"unit": np.zeros(300)}), kind)
    assert claim.outcome == "UNDECIDED"
    assert "one unit" in claim.message or "at least" in claim.message


@pytest.mark.parametrize("kind", ["prove", "veto"])
@pytest.mark.parametrize("text", ["roc_auc(candidate) > 0.01", "pr_auc(candidate) > 0.01", "tpr(candidate) > 0"])
def test_an_undefined_metric_never_passes(text: str, kind: str) -> None:
    given = arguments(rows=300)
    claim = judged(text, panel(**given | {"y": np.zeros(300)}), kind)
    assert claim.outcome == "UNDECIDED"
    assert "undefined" in claim.message


@pytest.mark.parametrize("kind", ["prove", "veto"])
def test_a_slice_without_a_row_never_passes(kind: str) -> None:
    for text in ("brier(candidate, line=C) < 0.99", "brier(candidate, line=C) - brier(candidate, line=A) < 0.99"):
        claim = judged(text, window(), kind)
        assert claim.outcome == "UNDECIDED"
        assert "line=C" in claim.message


@pytest.mark.parametrize("kind", ["prove", "veto"])
@pytest.mark.parametrize(
    "text",
    ["brier(candidate, line=B) < 0.99", "brier(candidate, line=B) - brier(candidate, line=A) < 0.99", "brier(candidate) < 0.99"],
)
def test_a_slice_in_too_few_units_never_passes(text: str, kind: str) -> None:
    """Rows of one unit have influences that sum to nothing: without a minimum they would seem to be without error."""
    given = arguments()
    line = np.where(given["unit"] == 3, "B", "A")
    claim = judged(text, panel(**given | {"columns": {"line": line}}), kind, minimum=MinimumSpec(units=20))
    assert claim.outcome == ("UNDECIDED" if "line=B" in text else "PASS")


@pytest.mark.parametrize("kind", ["prove", "veto"])
def test_a_level_that_should_be_there_and_is_not_never_passes(kind: str) -> None:
    claim = judged("brier(candidate) < 0.99", window(), kind, for_each=["line"], expected={"line": ["A", "B", "C"]})
    assert (claim.outcome, claim.missing) == ("UNDECIDED", ("line=C",))
    assert judged("brier(candidate) < 0.99", window(), kind, for_each=["line"], expected={"line": ["A"]}).outcome == "PASS"
    ratio = judged("ratio(brier, by: line) > 0.01", window(), kind, expected={"line": ["C"]})
    assert (ratio.outcome, ratio.missing) == ("UNDECIDED", ("line=C",))


@pytest.mark.parametrize("kind", ["prove", "veto"])
def test_slices_that_are_all_too_small_never_pass(kind: str) -> None:
    few = MinimumSpec(units=20, positives=100_000)
    claim = judged("brier(candidate) < 0.99", window(), kind, for_each=["line"], minimum=few)
    assert claim.outcome == "UNDECIDED"
    assert "at least 100,000" in claim.message
    assert judged("ratio(brier, by: line) > 0.01", window(), kind, minimum=few).outcome == "UNDECIDED"


def test_small_slices_are_judged_together() -> None:
    given = arguments()
    random = np.random.default_rng(1)
    line = np.where(random.random(6000) < 0.7, "A", random.integers(0, 8, 6000).astype(str))
    claim = judged(
        "brier(candidate) < 0.99",
        panel(**given | {"columns": {"line": line}}),
        "veto",
        for_each=["line"],
        minimum=MinimumSpec(positives=150),
    )
    assert [part.where.split(":")[0] for part in claim.parts] in (
        ["line=A", "line=(the others)"],
        ["line=(the others)", "line=A"],
    )


@pytest.mark.parametrize("text", ["accuracy(candidate) > 0.9", "fpr(candidate) < 0.1", "disagreement(candidate, champion) < 0.1"])
def test_units_that_are_all_the_same_prove_nothing(text: str) -> None:
    rows = window()
    perfect = with_scores(rows, candidate=0.05 + 0.9 * rows.y, champion=0.04 + 0.9 * rows.y)
    claim = judged(text, perfect)
    assert (claim.outcome, claim.standard_error) == ("UNDECIDED", 0)
    assert "tells no error" in claim.message
    assert judged(text, perfect, "veto").outcome == "PASS"


def test_units_that_are_all_the_same_and_wrong_fail() -> None:
    rows = window()
    assert judged("accuracy(candidate) > 0.9", with_scores(rows, candidate=0.95 - 0.9 * rows.y)).outcome == "FAIL"


@pytest.mark.parametrize("text", [RELATIVE, PR_AUC, "disagreement(candidate, champion) < 0.1"])
def test_a_model_is_not_worse_than_itself(text: str) -> None:
    rows = window()
    same = with_scores(rows, champion=rows.scores["candidate"].copy())
    assert judged(text, same).outcome == "PASS"
    assert judged("roc_auc(candidate) - roc_auc(champion) > 0", same).outcome == "UNDECIDED"


@pytest.mark.parametrize("model", ["champion", "anchor"])
def test_a_model_that_was_not_scored_is_an_error(model: str) -> None:
    for text in (f"roc_auc(candidate) - roc_auc({model}) > -1", f"disagreement(candidate, {model}) < 1"):
        with pytest.raises(MetricError, match=f"the {model} was not scored"):
            judged(text, window(champion=None))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), None])
@pytest.mark.parametrize("model", ["candidate", "champion", "anchor"])
def test_a_score_that_is_no_number_makes_no_panel(bad: float | None, model: str) -> None:
    given = arguments(rows=60)
    scores = {**given["scores"], model: [bad, *given["scores"][model][1:]]}
    with pytest.raises(MetricError, match=rf"{model}: 1 of 60 values are missing or not finite"):
        panel(**given | {"scores": scores})


def test_rows_without_the_candidate_make_no_panel() -> None:
    with pytest.raises(MetricError, match="the candidate's are missing"):
        panel(**arguments(rows=60) | {"scores": {"champion": np.zeros(60)}})


def test_a_group_whose_rate_is_zero_has_no_ratio() -> None:
    rows = window()
    never = np.where(rows.columns["line"].to_numpy() == "A", 0.0, rows.scores["candidate"])
    for kind in ("prove", "veto"):
        claim = judged("ratio(selection_rate, by: line) > 0.8", with_scores(rows, candidate=never), kind)
        assert claim.outcome == "UNDECIDED"
        assert "undefined" in claim.message


# --- metamorphic ---


@pytest.mark.parametrize("metric", ["roc_auc", "brier", "log_loss", "accuracy", "tpr", "pr_auc"])
def test_swapping_the_models_negates_the_difference(metric: str) -> None:
    rows = window()
    swapped = with_scores(rows, candidate=rows.scores["champion"], champion=rows.scores["candidate"])
    text = f"{metric}(candidate) - {metric}(champion) > 0"
    one, other = judged(text, rows), judged(text, swapped)
    assert (one.estimate, one.low, one.high) == pytest.approx((-other.estimate, -other.high, -other.low))


@pytest.mark.parametrize("shift", [-2.0, 1.5])
@pytest.mark.parametrize("text", [RELATIVE, "roc_auc(candidate) > 0.6", PR_AUC])
def test_adding_a_constant_to_all_log_odds_leaves_ranking_claims(text: str, shift: float) -> None:
    rows = window()
    moved = {name: 1 / (1 + np.exp(-(np.log(s / (1 - s)) + shift))) for name, s in rows.scores.items()}
    assert numbers(judged(text, with_scores(rows, **moved))) == pytest.approx(numbers(judged(text, rows)), rel=1e-9)


@pytest.mark.parametrize("text", TEXTS)
def test_duplicating_every_row_leaves_clustered_bounds(text: str) -> None:
    given = arguments()
    twice = panel(**reordered(given, np.repeat(np.arange(6000), 2)))
    assert numbers(judged(text, twice)) == pytest.approx(numbers(judged(text, panel(**given))), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("text", TEXTS)
def test_duplicating_every_row_shrinks_bounds_that_take_rows_for_units(text: str) -> None:
    given = arguments(rows=1500)
    twice = reordered(given, np.repeat(np.arange(1500), 2)) | {"unit": np.arange(3000)}
    one, other = judged(text, panel(**given | {"unit": np.arange(1500)})), judged(text, panel(**twice))
    assert other.standard_error / one.standard_error == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert other.high - other.low < 0.75 * (one.high - one.low)


@pytest.mark.parametrize("text", TEXTS)
def test_the_order_of_rows_changes_nothing(text: str) -> None:
    given = arguments()
    mixed = panel(**reordered(given, np.random.default_rng(5).permutation(6000)))
    assert numbers(judged(text, mixed)) == pytest.approx(numbers(judged(text, panel(**given))), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("text", TEXTS)
def test_the_names_of_units_change_nothing(text: str) -> None:
    given = arguments()
    named = panel(**given | {"unit": [f"{(7 * day) % 31}th" for day in given["unit"]]})
    assert numbers(judged(text, named)) == pytest.approx(numbers(judged(text, panel(**given))), rel=1e-9, abs=1e-12)


def test_days_that_are_good_or_bad_together_widen_the_bounds() -> None:
    """The clustered error replaced by that of rows turns this red."""
    given = arguments(seed=2)
    by_day, by_row = (
        judged("log_loss(candidate) < 9", panel(**given | {"unit": unit})) for unit in (given["unit"], np.arange(6000))
    )
    assert by_day.standard_error > 1.4 * by_row.standard_error


def test_more_slices_are_held_to_holm() -> None:
    """The worst of two slices fails at half of its p."""
    rows = window()
    for kind in ("veto", "prove"):
        claim = judged("brier(candidate) - brier(champion) < -0.04", rows, kind, for_each=["line"], level=0.05)
        assert len(claim.parts) == 2
        alone = [
            judged(f"brier(candidate, {p.where}) - brier(champion, {p.where}) < -0.04", rows, "veto", level=0.05)
            for p in claim.parts
        ]
        if kind == "veto":
            smallest = min(part.p for part in alone)
            assert min(part.p for part in claim.parts) == pytest.approx(min(1, 2 * smallest))


def test_a_claim_knows_the_models_that_it_measures() -> None:
    assert claim(RELATIVE).form.models == {"candidate", "champion"}
