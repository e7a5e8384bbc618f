"""What the gates promise, counted in worlds whose truth is known. Seeds are fixed; intervals are Clopper-Pearson's at 99 %."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks.simulations.gate_policies import (
    POLICIES,
    WORLDS,
    Histories,
    Noise,
    PolicyName,
    SimulatedPolicy,
    binary_days,
    histories,
    regression_days,
)
from ml_assets.core.gate_lab.boundary import NO_MINIMUM, Boundary, at_boundary, design_effects, resampled
from ml_assets.core.gate_lab.resampling import clopper_pearson
from ml_assets.core.gates.claims import judge_claim
from ml_assets.core.gates.levels import level
from ml_assets.core.gates.panel import Panel
from ml_assets.spec.gates import BudgetSpec
from tests.support.gated import claim

CLAIMS = {
    "binary": [
        claim("roc_auc(candidate) - roc_auc(champion) > -0.02", name="auc"),
        claim("brier(candidate) - brier(champion) < 0.01", name="brier"),
    ],
    "regression": [claim("rmse(candidate) - rmse(champion) < 0.5", name="rmse")],
}


@cache
def pool(task: str) -> Panel:
    return binary_days(seed=1, days=600, rows=120) if task == "binary" else regression_days(seed=2, days=600, rows=120)


def boundary(task: str, *, units: int, samples: int, level: float) -> list[Boundary]:
    return at_boundary(pool(task), CLAIMS[task], level=level, units=units, samples=samples, seed=4)


@pytest.mark.parametrize("task", CLAIMS)
def test_days_of_these_worlds_are_good_or_bad_together(task: str) -> None:
    rows = pool(task)
    assert min(known_world.effect for known_world in design_effects(rows, CLAIMS[task], {"day": rows.codes})) > 2


@pytest.mark.parametrize("task", CLAIMS)
@pytest.mark.parametrize("units", [20, pytest.param(30, marks=pytest.mark.long), pytest.param(60, marks=pytest.mark.long)])
def test_what_just_fails_to_hold_is_let_through_within_the_level(task: str, units: int) -> None:
    for result in boundary(task, units=units, samples=800, level=0.05):
        assert result.holds, result
        assert result.interval[1] > 0.01, "a gate that never opens keeps any level"


@pytest.mark.long
@pytest.mark.parametrize("at", [0.05, 0.01])
@pytest.mark.parametrize("task", CLAIMS)
@pytest.mark.parametrize("units", [20, 30, 60])
def test_what_just_fails_to_hold_is_let_through_within_the_level_in_thousands(task: str, units: int, at: float) -> None:
    for result in boundary(task, units=units, samples=4000, level=at):
        assert result.share <= 1.25 * at, result
        assert result.holds or result.share <= 1.25 * at, result


def test_rows_taken_for_units_let_through_what_they_should_not() -> None:
    rows, truth = pool("binary"), CLAIMS["binary"][0]
    wrong = 0
    constant = rows.measured(truth.form.terms).value
    for window in resampled(rows, units=30, samples=200, seed=4):
        wrong += window.by_row().tested(truth.form.terms, constant=constant, sign=">").p_proof <= 0.05
    assert clopper_pearson(wrong, 200, confidence=0.99)[0] > 0.05


@pytest.mark.parametrize("slices", [5, pytest.param(20, marks=pytest.mark.long)])
def test_models_that_differ_by_chance_are_not_vetoed_more_often_than_the_level(slices: int) -> None:
    """The veto at its hardest: the limit is the truth in every slice, and Holm keeps the level over all of them."""
    vetoed, samples, at = 0, 500, 0.05
    rows = binary_days(seed=9, days=300, rows=120, slices=slices, gap=0.0)
    level_of = {
        name: _pool_difference(part) for name, part in ((n, rows.of_level("place", n)) for n in rows.groups["place"]) if part
    }
    hardest = max(level_of.values())
    veto = claim(f"log_loss(candidate) - log_loss(champion) < {hardest!r}", "veto", for_each=["place"])
    for number, window in enumerate(_windows_with_slices(rows, units=30, samples=samples)):
        result = judge_claim(veto, window, level=at, minimum=NO_MINIMUM, expected={})
        vetoed += result.outcome == "FAIL"
        assert len(result.parts) == slices, number
    assert clopper_pearson(vetoed, samples, confidence=0.99)[0] <= at


def _pool_difference(rows: Panel) -> float:
    return rows.measured(claim("log_loss(candidate) - log_loss(champion) < 0").form.terms).value


def _windows_with_slices(rows: Panel, *, units: int, samples: int) -> list[Panel]:
    random, size = np.random.default_rng(4), 120
    results = []
    for _ in range(samples):
        days = random.integers(0, rows.units.count, units)
        index = (days[:, None] * size + np.arange(size)).ravel()
        results.append(replace(rows.part(index), codes=np.repeat(np.arange(units), size)))
    return results


@cache
def histories_now(world: str, policy: PolicyName, count: int = 60) -> Histories:
    own_world = next(known_world for known_world in WORLDS if known_world.name == world)
    return histories(own_world, SimulatedPolicy(policy), Noise(), count=count, seed=0)


def allowed(histories: Histories) -> float:
    """The share of histories that may go wrong: alpha for each window that was opened."""
    return min(1.0, histories.windows * BudgetSpec().alpha)


@pytest.mark.parametrize("world", [known_world.name for known_world in WORLDS])
def test_fifty_commits_erode_no_more_than_the_margin(world: str) -> None:
    result = histories_now(world, "gates")
    assert clopper_pearson(result.eroded, result.count, confidence=0.99)[0] <= allowed(result)
    assert clopper_pearson(result.wrong, result.count, confidence=0.99)[0] <= allowed(result)
    assert result.quality_5 >= -0.01


@pytest.mark.long
@pytest.mark.parametrize("world", [known_world.name for known_world in WORLDS])
def test_fifty_commits_erode_no_more_than_the_margin_in_thousands(world: str) -> None:
    result = histories_now(world, "gates", 3000)
    assert result.eroded / result.count <= allowed(result)
    assert result.wrong / result.count <= allowed(result)
    assert histories_now("one window", "gates", 3000).wrong / 3000 <= BudgetSpec().alpha


def test_true_improvements_are_let_through() -> None:
    assert histories_now("mixed", "gates").quality > 0.02


def test_the_usual_ways_erode() -> None:
    assert histories_now("each 0.003 worse", "point").eroded > 40
    assert histories_now("each 0.003 worse", "row_level").eroded == 60
    assert histories_now("each 0.003 worse", "row_level").quality < -0.1
    assert histories_now("one window", "row_level").wrong > 40
    assert histories_now("nothing improves", "recorded").claimed > 0.01
    assert histories_now("each 0.003 worse", "gates").eroded < 10


def test_what_is_told_of_a_history_depends_on_its_seed_alone() -> None:
    one = [histories(WORLDS[2], SimulatedPolicy(name), Noise(), count=3, seed=5) for name in POLICIES]
    assert one == [histories(WORLDS[2], SimulatedPolicy(name), Noise(), count=3, seed=5) for name in POLICIES]
    assert level(BudgetSpec()) == 0.025
