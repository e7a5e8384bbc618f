"""What rows without an outcome could do to a mean: shown next to the claim, and deciding nothing."""

from collections.abc import Callable
from itertools import product as combinations
from math import inf, nan
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml_assets.core.gates.panel import Panel, panel
from ml_assets.core.gates.unknown_rows import UnknownRows
from ml_assets.core.gates.worst_case import WorstCase, worst_case, worst_case_sentence
from ml_assets.spec.claim_grammar import parse
from ml_assets.spec.monitoring import ValueSpec
from tests.support.gated import arguments, judged

BINARY = (
    "brier(candidate) - brier(champion) < 0.01",
    "log_loss(candidate) < 1.05 * log_loss(champion)",
    "accuracy(candidate) - accuracy(champion) > -0.01",
    "calibration_gap(candidate) < 0.1",
    "value(candidate) - value(champion) > 0",
    "selection_rate(candidate) < 0.5",
    "disagreement(candidate, champion) < 0.3",
)
WORTH = ValueSpec(true_positive=40, false_positive=-10)


def scored(rows: int, seed: int, **more: float) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {role: random.random(rows) * more.get("scale", 1.0) for role in ("candidate", "champion")}


def unknown(scores: dict[str, Any], **columns: list[str]) -> UnknownRows:
    return UnknownRows(scores, {name: pl.Series(name, values) for name, values in columns.items()})


def without_outcomes(rows: int = 5, **lines: list[str]) -> Panel:
    given = arguments(rows=300, units=10) | {"worth": WORTH}
    given["scores"].pop("anchor")
    return panel(**given, unknown=unknown(scored(rows, 7), **lines))


def together(part: Panel, labels: tuple[float, ...], text: str) -> float:
    """What the claim measures when the rows without an outcome have these."""
    assert part.unknown is not None
    y, scores = (
        np.append(part.y, labels),
        {role: np.append(s, part.unknown.scores[role], axis=0) for role, s in part.scores.items()},
    )
    whole = Panel(part.task, y, scores, np.zeros(y.size, dtype=np.int64), threshold=part.threshold, worth=part.worth)
    return whole.measured(parse(text).terms).value


@pytest.mark.parametrize("text", ["log_loss(candidate) - log_loss(champion) < 0", "accuracy(candidate) > 0.5"])
def test_the_worst_case_of_several_classes_is_over_all_of_them(text: str) -> None:
    random = np.random.default_rng(3)
    scores = {role: random.dirichlet([1, 1, 1], 300) for role in ("candidate", "champion")}
    missing = {role: random.dirichlet([1, 1, 1], 4) for role in scores}
    y = random.integers(0, 3, 300).astype(float)
    part = panel(task="multiclass", y=y, scores=scores, unit=np.arange(300) % 10, columns={}, unknown=unknown(missing))
    values = [together(part, labels, text) for labels in combinations((0.0, 1.0, 2.0), repeat=4)]
    case = worst_case(parse(text), part)
    assert case is not None
    assert (case.low, case.high) == pytest.approx((min(values), max(values)), abs=1e-12)


@pytest.mark.parametrize("text", BINARY)
def test_no_outcomes_of_the_missing_rows_take_a_mean_beyond_its_worst_case_and_some_reach_it(text: str) -> None:
    part = without_outcomes()
    case = worst_case(parse(text), part)
    assert case is not None
    values = [together(part, labels, text) for labels in combinations((0.0, 1.0), repeat=5)]
    assert (case.low, case.high) == pytest.approx((min(values), max(values)), abs=1e-12)
    assert (case.unknown, case.rows) == (5, 305)


@pytest.mark.parametrize(
    ("text", "is_bounded"),
    [
        ("mae(candidate) - mae(champion) < 0.1", (True, True)),
        ("bias(candidate) - bias(champion) < 0.1", (True, True)),
        ("pinball_90(candidate) - pinball_90(champion) < 0.1", (True, True)),
        ("mae(candidate) < 1", (True, False)),
        ("mae(candidate) < 1.05 * mae(champion)", (False, True)),
        ("bias(candidate) < 1", (False, False)),
    ],
)
def test_of_a_regression_a_difference_has_bounds_where_a_single_loss_has_none(text: str, is_bounded: tuple[bool, bool]) -> None:
    random = np.random.default_rng(3)
    rows = panel(
        task="regression", y=random.random(60), scores=scored(60, 1), unit=np.repeat(np.arange(6), 10), columns={},
        unknown=unknown(scored(2, 2, scale=4.0)),
    )  # fmt: skip
    case = worst_case(parse(text), rows)
    assert case is not None
    assert (case.low > -inf, case.high < inf) == is_bounded
    tried = [together(rows, labels, text) for labels in combinations(np.linspace(-30, 30, 13), repeat=2)]
    assert case.low <= min(tried) + 1e-9
    assert case.high >= max(tried) - 1e-9
    if all(is_bounded):
        assert (case.low, case.high) == pytest.approx((min(tried), max(tried)), abs=1e-9)


def test_a_label_of_several_classes_may_be_any_of_them() -> None:
    random = np.random.default_rng(4)
    y, unit, form = random.integers(0, 3, 30), np.repeat(np.arange(6), 5), parse("log_loss(candidate) - log_loss(champion) < 0.1")
    known, missing = ({role: random.dirichlet(np.ones(3), rows) for role in ("candidate", "champion")} for rows in (30, 2))
    case = worst_case(form, panel(task="multiclass", y=y, scores=known, unit=unit, columns={}, unknown=unknown(missing)))
    assert case is not None
    every = {role: np.vstack([known[role], missing[role]]) for role in known}
    values = [
        panel(task="multiclass", y=np.append(y, labels), scores=every, unit=np.append(unit, [0, 1]), columns={})
        .measured(form.terms)
        .value
        for labels in combinations(range(3), repeat=2)
    ]
    assert (case.low, case.high) == pytest.approx((min(values), max(values)), abs=1e-12)


NO_MEANS = (
    "roc_auc(candidate) > 0.6",
    "tpr(candidate) - tpr(champion) > -0.1",
    "ratio(brier, by: line) > 0.8",
    "mape(candidate) < 0.2",
)


@pytest.mark.parametrize("text", NO_MEANS)
def test_what_is_not_a_mean_has_no_worst_case(text: str) -> None:
    assert worst_case(parse(text), without_outcomes(line=["A"] * 5)) is None


@pytest.mark.parametrize("break_it", [lambda s: {**s, "candidate": np.full(5, nan)}, lambda s: {"candidate": s["candidate"]}])
def test_a_score_that_is_missing_leaves_no_worst_case_to_show(break_it: Callable[[Any], Any]) -> None:
    part = without_outcomes()
    broken = panel(**arguments(rows=300, units=10), unknown=unknown(break_it(scored(5, 7))))
    assert worst_case(parse(BINARY[0]), part) is not None
    assert worst_case(parse(BINARY[0]), broken) is None


def test_a_claim_says_it_in_words_and_decides_by_the_known_rows_alone() -> None:
    plain = judged(BINARY[0], panel(**arguments(rows=300, units=10)), "veto")
    claim = judged(BINARY[0], without_outcomes(rows=60), "veto")
    assert (claim.estimate, claim.low, claim.high, claim.p, claim.outcome) == (
        plain.estimate, plain.low, plain.high, plain.p, plain.outcome,
    )  # fmt: skip
    assert claim.unknown == 60
    assert claim.worst_low < claim.estimate < claim.worst_high
    assert f"60 of 360 rows without a known outcome: whatever they are, the estimate is {claim.worst_low:.4f}" in claim.message
    assert claim.to_dict()["worst_high"] == claim.worst_high


def test_of_slices_the_worst_one_is_shown_with_its_own_rows() -> None:
    part = without_outcomes(rows=4, line=["A", "B", "B", "B"])
    claim = judged("brier(candidate) - brier(champion) < 0.9", part, "veto", for_each=["line"])
    assert claim.unknown == (1 if claim.message.startswith("line=A") else 3)


def test_the_words_say_whether_the_limit_may_break() -> None:
    words = [next(worst_case_sentence(WorstCase(low, high, 2, 10), "<", 0.1)) for low, high in ((0, 0.05), (0, inf), (-inf, inf))]
    assert words == [
        "2 of 10 rows without a known outcome: whatever they are, the estimate is 0.0000 to 0.0500, which keeps < 0.1",
        "2 of 10 rows without a known outcome: whatever they are, the estimate is 0.0000 or more, which may break < 0.1",
        "2 of 10 rows without a known outcome: whatever they are, nothing bounds the estimate, which may break < 0.1",
    ]
    assert list(worst_case_sentence(None, "<", 0.1)) == []
    without_labels = next(worst_case_sentence(WorstCase(0.05, 0.05, 2, 10), "<", 0.1))
    assert without_labels == "with the 2 of 10 rows without a known outcome, which need none, the estimate is 0.0500"
