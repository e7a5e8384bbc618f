"""A test window that is used up is a state: the run says what comes next, and nothing older speaks for the candidate."""

from collections.abc import Iterator

import pytest

from ml_assets.services.stale_evaluations import stale_evaluations
from tests.support.homes.path_homes import Home, Run
from tests.support.homes.shop import DAYS, deliver, shop

FIRST, SECOND, THIRD = DAYS[:3]
DATA = ("raw", "dataset", "quarantine", "features")
DECIDED = (*DATA, "model", "evaluation", "release")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Run]]:
    """The second day was asked as often as it may be; then another model is made of the same days."""
    made = shop(tmp_path_factory.mktemp("used"))
    made.edit("product.yaml", (r"looks: \d+, ships: \d+", "looks: 1, ships: 1"))
    deliver(made, FIRST, SECOND)
    assert made.run(FIRST, only=DATA).success
    assert made.run(SECOND, only=DECIDED).success
    made.edit("product.yaml", (r"iterations: \d+", "iterations: 7"))
    yield made, made.run(SECOND, only=DECIDED)
    made.close()


def test_the_run_succeeds_without_a_verdict_and_without_a_release(asked: tuple[Home, Run]) -> None:
    _, run = asked
    assert run.success, run.errors
    assert "model" in run.computed
    assert not {"evaluation", "release"} & run.made.keys()
    assert run.outcome
    assert run.outcome.kind == "withheld"
    assert "is retired" in run.outcome.reason


def test_a_warning_says_why_and_when_the_next_window_opens(asked: tuple[Home, Run]) -> None:
    _, run = asked
    assert "window_open" in run.failed_checks & run.warnings
    assert f"the test window {SECOND} is retired" in run.told["window_open"]
    assert f"the next window opens with {THIRD}, due {DAYS[3]} 00:00 UTC" in run.told["window_open"]


def test_it_is_an_entry_of_the_ledger_and_charges_nothing(asked: tuple[Home, Run]) -> None:
    made, _ = asked
    counts = made.counts()
    assert (counts["look"], counts["refusal"]) == (1, 1)


def test_the_older_verdict_does_not_speak_for_the_candidate(asked: tuple[Home, Run]) -> None:
    made, _ = asked
    assert SECOND in stale_evaluations(made.space.lineage, made.product)
    alone = made.run(SECOND, only=("release",))
    assert "release" not in alone.made or alone.made["release"] is False
    assert made.get("evaluation", SECOND).facts["candidate"] != made.get("model", SECOND).data_version


def test_the_next_window_is_asked_as_ever(asked: tuple[Home, Run]) -> None:
    made, _ = asked
    deliver(made, THIRD)
    run = made.run(THIRD, only=DECIDED)
    assert run.success, run.errors
    assert run.checks["window_open"]
    assert "look 1 of 1" in run.told["window_open"]
