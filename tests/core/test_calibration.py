"""The calibration of probabilities: its loss without what chance adds, the level of a difference, and Cox's slope."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.metrics.calibration import calibration_bias, calibration_loss
from ml_assets.core.metrics.estimates import difference, estimate
from ml_assets.core.metrics.registry import METRICS

LOSS, SLOPE = METRICS["calibration_loss"], METRICS["calibration_slope"]


def drawn(seed: int, *, days: int = 30, rows: int = 200, day: float = 0.0) -> tuple[Floats, Floats, Ints]:
    """Labels, their log-odds, and the day of each row; days differ by a shift of the log-odds that no score knows."""
    random = np.random.default_rng(seed)
    codes = np.repeat(np.arange(days), rows)
    odds = random.normal(-1, 1, codes.size)
    y = (random.random(codes.size) < expit(odds + random.normal(0, day, days)[codes])).astype(float)
    return y, odds, codes


def test_the_loss_of_a_model_without_a_gap_is_nothing_on_average_and_its_plain_value_is_not() -> None:
    plain, debiased = [], []
    for seed in range(60):
        y, odds, codes = drawn(seed)
        plain.append(calibration_loss(y, expit(odds)))
        debiased.append(estimate(LOSS, y, expit(odds), codes).value)
    error = np.std(debiased) / np.sqrt(len(debiased))
    assert abs(np.mean(debiased)) < 3.5 * error
    assert np.mean(plain) > 10 * error


def test_the_bias_is_told_by_units_and_not_by_rows_that_repeat() -> None:
    y, odds, codes = drawn(1, day=0.3)
    s = expit(odds)
    repeated = [np.repeat(values, 3) for values in (y, s, codes)]
    assert calibration_bias(*repeated) == pytest.approx(calibration_bias(y, s, codes))  # type: ignore[arg-type]
    assert calibration_bias(y, s, np.arange(y.size)) != pytest.approx(calibration_bias(y, s, codes), rel=0.1)


def test_a_known_gap_is_found() -> None:
    y, odds, codes = drawn(2, rows=2000)
    s = np.clip(expit(odds) + 0.1, 0, 1)
    assert estimate(LOSS, y, s, codes).value == pytest.approx(0.01, abs=0.0015)


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_a_difference_keeps_its_level_where_neither_model_is_better(shift: float) -> None:
    """Both are as wrong as each other; the claim is that the candidate is less wrong."""
    passed, trials, level = 0, 400, 0.05
    random = np.random.default_rng(7)
    for seed in range(trials):
        y, odds, codes = drawn(seed, day=0.3)
        one, other = (expit(shift + odds + random.normal(0, 0.3, odds.size)) for _ in range(2))
        estimated = difference(LOSS, y, one, other, codes, level=1 - 2 * level)
        passed += estimated.high < 0
    assert passed / trials <= level + 3.5 * np.sqrt(level * (1 - level) / trials)


def test_the_slope_is_that_of_a_logistic_regression() -> None:
    y, odds, codes = drawn(3)
    s = expit(1.5 * odds)
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit((1.5 * odds)[:, None], y).coef_[0, 0]
    estimated = estimate(SLOPE, y, s, codes)
    assert estimated.value == pytest.approx(oracle, abs=1e-5)
    assert estimated.low < 1 / 1.5 < estimated.high


@pytest.mark.parametrize("s", [[0.5] * 40, [0.1] * 20 + [0.9] * 20], ids=["all alike", "separates the classes"])
def test_rows_that_do_not_tell_a_slope_leave_it_undefined(s: list[float]) -> None:
    y = [0.0] * 20 + [1.0] * 20
    assert "undefined" in estimate(SLOPE, y, s, np.arange(40)).note
