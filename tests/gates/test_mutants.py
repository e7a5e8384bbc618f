"""Sabotage does what it says, resampling keeps units whole, and power and design effects are what simulation finds."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from ml_assets.core.gate_lab import mutants as m
from ml_assets.core.gate_lab.power import Power, design
from ml_assets.core.gate_lab.resampling import clopper_pearson, redrawn
from ml_assets.core.gates.bounds import ClaimEvidence
from ml_assets.core.gates.panel import Panel, panel
from ml_assets.core.metrics.binary import roc_auc
from tests.support.gated import spread
from tests.support.scored import rows


def own_panel() -> Panel:
    given = rows()
    return panel(task="binary", y=given["y"], scores=given["scores"], unit=given["unit"], columns=given["slices"])


def test_inverted_scores_rank_the_other_way_round() -> None:
    panel = own_panel()
    scores = panel.scores["candidate"]
    assert roc_auc(panel.y, m.inverted(scores, task="binary")) == pytest.approx(1 - roc_auc(panel.y, scores))
    values = np.array([1.0, 2.0, 6.0])
    assert m.inverted(values, task="regression").tolist() == [5.0, 4.0, 0.0]


def test_misaligned_scores_are_the_same_scores_and_know_nothing() -> None:
    panel = own_panel()
    scores = panel.scores["candidate"]
    moved = m.misaligned(scores)
    assert sorted(moved) == sorted(scores)
    assert abs(roc_auc(panel.y, moved) - 0.5) < 0.05 < roc_auc(panel.y, scores) - 0.5


def test_shaken_scores_move_whole_units_by_the_same_log_odds() -> None:
    panel = own_panel()
    scores = panel.scores["champion"]
    moved = m.shaken(scores, panel.codes, np.random.default_rng(0), size=0.5, task="binary")
    shift = np.log(moved / (1 - moved)) - np.log(scores / (1 - scores))
    assert np.allclose(np.abs(shift), 0.5)
    assert all(np.ptp(shift[panel.codes == code]) < 1e-9 for code in np.unique(panel.codes))
    assert {round(value, 6) for value in shift} == {0.5, -0.5}


def test_rows_are_spoilt_where_they_should_be_and_nowhere_else() -> None:
    frame = pl.DataFrame({"a": [1, 2, 3, 4], "c": ["x", "y", "x", None], "label": [0, 1, 0, 1]})
    emptied = m.emptied(frame, columns=["a", "c"])
    assert emptied["a"].null_count() == 4
    assert emptied["c"].to_list() == ["lost"] * 4
    assert m.scaled(frame, columns=["a"], by=10)["a"].to_list() == [10.0, 20.0, 30.0, 40.0]
    assert m.without_level(frame, column="c", level="x")["a"].to_list() == [2]
    shuffled = m.shuffled(frame, label="label", seed=1)
    assert shuffled["label"].sum() == 2
    assert shuffled.drop("label").equals(frame.drop("label"))


def test_features_are_spoilt_from_the_costliest_on_until_the_harm_is_clear() -> None:
    worth = {"small": 0.01, "great": 0.05, "middle": 0.03, "none": 0.0}

    def score(some: object) -> np.ndarray:
        return np.array([sum(worth[name] for name in some)])  # type: ignore[attr-defined]

    ordered = m.costliest(list(worth), score, harm=lambda scores: float(scores[0]))
    assert ordered == ["great", "middle", "small", "none"]
    spoilt, scores = m.until_it_hurts(ordered, score, harm=lambda scores: float(scores[0]), clear=0.06)
    assert (spoilt, scores.tolist()) == (["great", "middle"], [pytest.approx(0.08)])


def test_a_window_drawn_again_holds_whole_units_each_its_own() -> None:
    panel = own_panel()
    drawn = redrawn(panel, np.random.default_rng(0), units=50)
    assert drawn.units.count == 50
    sizes = {int(size) for size in np.bincount(panel.codes)}
    assert {int(size) for size in np.bincount(drawn.codes)} <= sizes
    assert set(drawn.scores["candidate"]) <= set(panel.scores["candidate"])


@pytest.mark.parametrize(("hits", "tries"), [(0, 20), (3, 20), (20, 20), (1, 1)])
def test_the_interval_of_a_share_is_scipys(hits: int, tries: int) -> None:
    exact = stats.binomtest(hits, tries).proportion_ci(0.95, method="exact")
    assert clopper_pearson(hits, tries) == pytest.approx((exact.low, exact.high))
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_power_is_the_share_of_simulated_tests_that_pass_and_units_for_it_are_enough() -> None:
    power, at = Power(0.02, spread(0.01, 30)), 0.05
    random = np.random.default_rng(0)
    draws = random.normal(0.02, 0.01 * np.sqrt(30), size=(20_000, 30))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / np.sqrt(30))
    assert power.passes(at) == pytest.approx(float((t > stats.t.ppf(1 - at, 29)).mean()), abs=0.02)
    needed = power.units_for(at, 0.8)
    assert needed is not None
    error = 0.01 * np.sqrt(30 / needed)
    assert Power(0.02, spread(error, needed)).passes(at) >= 0.8
    assert Power(-0.01, spread(0.01, 30)).units_for(at, 0.8) is None


def test_a_design_effect_is_the_ratio_of_variances_with_a_bound_from_its_few_units() -> None:
    fine = [ClaimEvidence(0.0, spread(0.01, 30), 0.0, ">") for _ in range(12)]
    coarse = [ClaimEvidence(0.0, spread(0.02, 5), 0.0, ">") for _ in range(12)]
    effect = design({"day": fine, "week": coarse}, unit="day", coarser="week")
    assert effect is not None
    assert effect.effect == pytest.approx(4)
    assert effect.low == pytest.approx(4 * 48 / stats.chi2.ppf(0.95, 48))
    assert design({"day": [], "week": []}, unit="day", coarser="week") is None
