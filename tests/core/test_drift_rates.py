"""How often the alarm is false, counted in worlds without drift; and what it finds. Seeds are fixed."""

import numpy as np
import pytest

from benchmarks.rates import JUDGED, rate
from benchmarks.simulations.drift_rates import Rates, false_alarms, false_skew
from benchmarks.simulations.drift_worlds import History

MOST = 0.013
"""The upper 99 % confidence limit of the rate of alarms."""
MOST_WATCHES = 0.05
ROWS = (40, 1_000, 3_000_000)


@pytest.mark.parametrize("history", ["stationary", "seasons", "heavy"])
@pytest.mark.parametrize("rows", ROWS)
def test_alarms_are_rarer_than_stated(history: History, rows: int) -> None:
    random = np.random.default_rng([rows, len(history)])
    rates = false_alarms(history, rows=rows, columns=5, past=8, judged=8, worlds=150, random=random)
    assert rates.alarms <= MOST, rates
    assert rates.watches <= MOST_WATCHES, rates


def test_a_broken_rule_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at the largest z of replays heavy tails alarm again and again."""
    from ml_assets.core.drift import distance_test

    monkeypatch.setattr(distance_test, "_largest", lambda largest, replayed: np.zeros_like(largest))
    rates = false_alarms("heavy", rows=1_000_000, columns=27, past=6, judged=6, worlds=60, random=np.random.default_rng(3))
    assert rates.alarms > MOST, rates


@pytest.mark.parametrize("history", ["stationary", "seasons", "heavy"])
@pytest.mark.parametrize("requests", [40, 1_000, 100_000])
def test_requests_that_are_like_the_data_sound_an_alarm_rarer_than_stated(history: History, requests: int) -> None:
    random = np.random.default_rng([requests, len(history)])
    rates = false_skew(history, rows=25_000, requests=requests, columns=5, past=6, judged=8, worlds=150, random=random)
    assert rates.alarms_upper <= MOST, rates
    assert rates.watches <= MOST_WATCHES, rates


def test_a_broken_rule_would_show_in_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at the largest z a few requests seem odd again and again: bins of less than one are far from normal."""
    from ml_assets.core.drift import distance_test

    monkeypatch.setattr(distance_test, "_largest", lambda largest, replayed: np.zeros_like(largest))
    random = np.random.default_rng(3)
    rates = false_skew("stationary", rows=25_000, requests=40, columns=27, past=6, judged=6, worlds=60, random=random)
    assert rates.watches > MOST_WATCHES, rates


@pytest.mark.long
@pytest.mark.parametrize("history", ["stationary", "seasons", "heavy"])
@pytest.mark.parametrize("columns", [5, 27])
@pytest.mark.parametrize("rows", [40, 200, 1_000, 6_500, 100_000, 3_000_000])
def test_the_upper_limit_of_alarms_in_40_000_partitions_is_as_stated(history: History, columns: int, rows: int) -> None:
    random = np.random.default_rng([7, rows, columns, len(history)])

    def judge(past: int, worlds: int) -> Rates:
        return false_alarms(history, rows=rows, columns=columns, past=past, judged=JUDGED, worlds=worlds, random=random)

    counted = rate(40_000, (6, 12, 24), judge)
    assert counted["partitions"] >= 40_000
    assert counted["limit"] <= MOST, counted
