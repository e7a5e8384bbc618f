"""How often the alarm is false, counted in worlds without drift; and what it finds. Seeds are fixed."""

import numpy as np
import pytest

from ml_assets.core.drift.simulation import History, false_alarms

MOST = 0.013
"""The upper 99 % confidence limit of the rate of alarms."""
ROWS = (40, 1_000, 3_000_000)


@pytest.mark.parametrize("history", ["stationary", "seasons", "heavy"])
@pytest.mark.parametrize("rows", ROWS)
def test_alarms_are_rarer_than_stated(history: History, rows: int) -> None:
    random = np.random.default_rng([rows, len(history)])
    rates = false_alarms(history, rows=rows, columns=5, past=8, judged=8, worlds=150, random=random)
    assert rates.alarms <= MOST, rates
    assert rates.watches <= 0.05, rates


def test_a_broken_rule_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at the largest z of replays heavy tails alarm again and again."""
    from ml_assets.core.drift import distance_test

    monkeypatch.setattr(distance_test, "_largest", lambda largest, replayed: np.zeros_like(largest))
    rates = false_alarms("heavy", rows=1_000_000, columns=27, past=6, judged=6, worlds=60, random=np.random.default_rng(3))
    assert rates.alarms > MOST, rates


@pytest.mark.long
@pytest.mark.parametrize("history", ["stationary", "seasons", "heavy"])
@pytest.mark.parametrize("columns", [5, 27])
@pytest.mark.parametrize("rows", [40, 200, 1_000, 6_500, 100_000, 3_000_000])
def test_the_upper_limit_of_alarms_in_40_000_partitions_is_as_stated(history: History, columns: int, rows: int) -> None:
    random = np.random.default_rng([7, rows, columns, len(history)])
    parts = [
        false_alarms(history, rows=rows, columns=columns, past=past, judged=10, worlds=1_334, random=random)
        for past in (6, 12, 24)
    ]
    assert sum(part.partitions for part in parts) >= 40_000
    rate = np.mean([part.alarms for part in parts])
    limit = rate + np.sqrt(np.sum([(part.alarms_upper - part.alarms) ** 2 for part in parts])) / len(parts)
    assert limit <= MOST, parts
