"""Confidence sequences: looking often costs nothing, real harm is found, and rows of one day count as one."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import beta, t

from ml_assets.core.metrics.confidence_sequences import SequenceError, bounds, by_unit, evidence_above

ALPHA, HARM, BOUND = 0.05, 0.02, 0.1
DAYS = {
    "normal": lambda rng, size: rng.normal(0, 0.03, size),
    "skewed up": lambda rng, size: (rng.gamma(0.5, 1.0, size) - 0.5) * 0.015,
    "rare bad days": lambda rng, size: np.where(rng.random(size) < 0.05, 0.076, -0.004),
    "rare good days": lambda rng, size: np.where(rng.random(size) < 0.05, -0.095, 0.005),
}
VALUES = arrays(np.float64, st.integers(1, 40), elements=st.floats(-0.2, 0.2, allow_nan=False))


def most(fired: int, runs: int) -> float:
    """The largest rate that so many of the runs speak for: the lower bound of Clopper and Pearson at 99.9 %."""
    return float(beta.ppf(0.001, fired, runs - fired + 1)) if fired else 0.0


def fires(values: np.ndarray) -> np.ndarray:
    return (evidence_above(values, limit=HARM, bound=BOUND, alpha=ALPHA) >= 1 / ALPHA).any(axis=-1)


def repeated_t_test_fires(values: np.ndarray) -> np.ndarray:
    """What the sequence replaces: the same test at 5 % after each unit from the third on."""
    number = np.arange(1, values.shape[-1] + 1)
    mean = np.cumsum(values, axis=-1) / number
    spread = np.sqrt((np.cumsum(values**2, axis=-1) - number * mean**2) / np.maximum(number - 1, 1) / number)
    above = mean - HARM > t.ppf(1 - ALPHA, np.maximum(number - 1, 1)) * spread
    return above[..., 2:].any(axis=-1)


@pytest.mark.parametrize("days", DAYS)
@pytest.mark.parametrize("peeks", [50, 1000])
def test_however_often_one_looks_no_more_than_alpha_of_harmless_canaries_are_stopped(days: str, peeks: int) -> None:
    rng, runs = np.random.default_rng(5), 4000 if peeks == 50 else 1000
    values = HARM + DAYS[days](rng, (runs, peeks))  # exactly as bad as is allowed
    assert most(int(fires(values).sum()), runs) <= ALPHA


def test_a_test_at_five_percent_that_is_repeated_fifty_times_fires_falsely_in_a_quarter_and_the_sequence_in_two_percent() -> None:
    values = HARM + np.random.default_rng(1).normal(0, 0.03, (4000, 50))
    assert repeated_t_test_fires(values).mean() > 0.2
    assert fires(values).mean() < 0.03


def test_rows_of_a_day_that_are_bad_together_are_one_value_and_taking_them_for_many_fires_falsely() -> None:
    rng, runs, days, rows = np.random.default_rng(2), 400, 30, 40
    shocks = rng.normal(0, 0.03, (runs, days, 1))
    values = HARM + shocks + rng.normal(0, 0.01, (runs, days, rows))
    number = pl.Series(np.repeat(np.arange(days), rows))
    clustered = np.array([by_unit(run.ravel(), number) for run in values])
    assert most(int(fires(clustered).sum()), runs) <= ALPHA
    assert fires(values.reshape(runs, -1)).mean() > 3 * ALPHA


def test_real_harm_is_found_within_days_and_more_harm_sooner() -> None:
    rng = np.random.default_rng(3)
    by_unit_count = {}
    for harm in (0.05, 0.08):
        values = harm + rng.normal(0, 0.02, (500, 60))
        evidence = evidence_above(values, limit=HARM, bound=BOUND, alpha=ALPHA) >= 1 / ALPHA
        assert evidence.any(axis=-1).mean() > 0.98
        by_unit_count[harm] = np.median(evidence.argmax(axis=-1) + 1)
    assert by_unit_count[0.08] < by_unit_count[0.05] < 25


def test_a_better_candidate_is_shown_to_be_good_enough() -> None:
    values = -0.01 + np.random.default_rng(4).normal(0, 0.02, 60)
    bounds_now = bounds(values, bound=BOUND, alpha=ALPHA)
    assert bounds_now.lower < -0.01 < bounds_now.upper < HARM


@given(VALUES)
def test_the_bounds_say_what_the_evidence_says(values: np.ndarray) -> None:
    bounds_now = bounds(values, bound=BOUND, alpha=ALPHA)
    if abs(bounds_now.lower - HARM) > 1e-9:
        assert (bounds_now.lower > HARM) == bool(fires(values))


@pytest.mark.long
@given(VALUES)
def test_further_units_take_nothing_back(values: np.ndarray) -> None:
    bounds_now = [bounds(values[: n + 1], bound=BOUND, alpha=ALPHA) for n in range(len(values))]
    for earlier, later in pairwise(bounds_now):
        assert later.lower >= earlier.lower
        assert later.upper <= earlier.upper


@given(VALUES)
def test_swapping_the_models_negates_the_bounds(values: np.ndarray) -> None:
    one, other = (bounds(losses, bound=BOUND, alpha=ALPHA) for losses in (values, -values))
    assert (one.lower, one.upper) == pytest.approx((-other.upper, -other.lower), abs=1e-9)


@given(VALUES, st.floats(0.5, 20))
def test_a_change_of_scale_scales_the_bounds(values: np.ndarray, factor: float) -> None:
    one = bounds(values, bound=BOUND, alpha=ALPHA)
    other = bounds(values * factor, bound=BOUND * factor, alpha=ALPHA)
    assert (other.lower, other.upper) == pytest.approx((one.lower * factor, one.upper * factor), abs=1e-9 * factor)


@given(VALUES, st.integers(2, 5))
def test_saying_each_row_of_a_unit_several_times_changes_nothing(values: np.ndarray, times: int) -> None:
    number = np.arange(len(values)) // 2
    once = by_unit(values, pl.Series(number))
    again = by_unit(np.repeat(values, times), pl.Series(np.repeat(number, times)))
    assert again == pytest.approx(once, abs=1e-12)


def test_units_are_taken_in_their_order_whatever_the_order_of_rows() -> None:
    rows = pl.DataFrame({"unit": [3, 1, 2, 1], "difference": [0.3, 0.0, 0.2, 0.1]})
    assert by_unit(rows["difference"].to_numpy(), rows["unit"]).tolist() == [0.05, 0.2, 0.3]


def test_before_the_first_unit_nothing_is_known() -> None:
    bounds_now = bounds(np.array([]), bound=BOUND, alpha=ALPHA)
    assert (bounds_now.units, bounds_now.lower, bounds_now.upper) == (0, -BOUND, BOUND)


def test_a_missing_value_decides_nothing() -> None:
    with pytest.raises(SequenceError, match="missing or infinite"):
        bounds(np.array([0.0, np.nan]), bound=BOUND, alpha=ALPHA)
    with pytest.raises(SequenceError, match="within the bound"):
        evidence_above(np.array([0.0]), limit=0.2, bound=0.1, alpha=ALPHA)
