"""Flights by week, 2013: no alarm as it was, and one for what is planted, in each of 200 seeds."""

import polars as pl
import pytest

from benchmarks.alarms import PLANTS, SEEDS, by_week, planted, weeks_observed
from ml_assets.core.drift.verdict import DriftReference, follow

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
RULE = DriftReference(ignored=frozenset({"day_of_year"}))


@pytest.fixture(scope="module")
def weeks() -> list[tuple[str, pl.DataFrame]]:
    return by_week()


def test_the_year_as_it_was_has_no_alarm_and_few_watches(weeks: list[tuple[str, pl.DataFrame]]) -> None:
    verdicts = follow(weeks_observed(weeks), RULE)
    states = [verdict.state for verdict in verdicts]
    assert states.count("alarm") == 0
    assert states[-36:].count("watch") <= 6, "of 36 weeks"
    assert states.count("uncalibrated") == 6


@pytest.mark.parametrize("change", PLANTS)
def test_what_is_planted_is_found_in_every_seed(weeks: list[tuple[str, pl.DataFrame]], change: str) -> None:
    assert planted(weeks, PLANTS[change], RULE) == (SEEDS, SEEDS)
    assert SEEDS == 200
