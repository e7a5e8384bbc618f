"""A test window that is used up is a state: the run says what comes next, and nothing older speaks for the candidate."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.services.stale_evaluations import stale_evaluations
from tests.support.homes.gates_home import invoke_command
from tests.support.homes.path_homes import Home, Run
from tests.support.homes.shop import DAYS, deliver, shop

FIRST, SECOND, THIRD = DAYS[:3]
DATA = ("raw", "dataset", "quarantine", "features")
DECIDED = (*DATA, "model", "evaluation", "release")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Run]]:
    """The second day was asked as often as it may be; then another model is made of the same days."""
    own_home = shop(tmp_path_factory.mktemp("used"))
    own_home.edit("product.yaml", (r"looks: \d+, ships: \d+", "looks: 1, ships: 1"))
    deliver(own_home, FIRST, SECOND)
    assert own_home.run(FIRST, only=DATA).success
    assert own_home.run(SECOND, only=DECIDED).success
    own_home.edit("product.yaml", (r"iterations: \d+", "iterations: 7"))
    yield own_home, own_home.run(SECOND, only=DECIDED)
    own_home.close()


def test_the_run_succeeds_without_a_verdict_and_without_a_release(used: tuple[Home, Run]) -> None:
    _, run = used
    assert run.success, run.errors
    assert "model" in run.computed
    assert not {"evaluation", "release"} & run.materialized.keys()
    assert run.outcome
    assert run.outcome.kind == "withheld"
    assert "is retired" in run.outcome.reason


def test_a_warning_says_why_and_when_the_next_window_opens(used: tuple[Home, Run]) -> None:
    _, run = used
    assert "window_open" in run.failed_checks & run.warnings
    assert f"the test window {SECOND} is retired" in run.descriptions["window_open"]
    assert f"the next window opens with {THIRD}, due {DAYS[3]} 00:00 UTC" in run.descriptions["window_open"]


def test_it_is_an_entry_of_the_ledger_and_charges_nothing(used: tuple[Home, Run]) -> None:
    own_home, _ = used
    counts = own_home.counts()
    assert (counts["look"], counts["refusal"]) == (1, 1)


def test_the_older_verdict_does_not_speak_for_the_candidate(used: tuple[Home, Run]) -> None:
    own_home, _ = used
    assert SECOND in stale_evaluations(own_home.space.lineage, own_home.product)
    alone = own_home.run(SECOND, only=("release",))
    assert "release" not in alone.materialized or alone.materialized["release"] is False
    assert own_home.get("evaluation", SECOND).facts["candidate"] != own_home.get("model", SECOND).data_version


def test_the_report_says_that_there_is_no_verdict_and_never_the_older_one(used: tuple[Home, Run], tmp_path: Path) -> None:
    own_home, _ = used
    done = invoke_command(own_home, "report", "shop", "--partition", SECOND, "--output", str(tmp_path))
    assert done.exit_code == 0, done.output
    page = (tmp_path / "report.md").read_text()
    own = own_home.get("model", SECOND).data_version[:12]
    title = f"## ⏸ shop {SECOND}: withheld, no verdict"
    assert f"{title}\n\ncandidate {own} is withheld without a verdict: shop: the test window" in page
    assert f"the next window opens with {THIRD}" in page
    assert "### The earlier candidate: " in page
    assert "✅" not in page


def test_the_next_window_is_asked_as_ever(used: tuple[Home, Run]) -> None:
    own_home, _ = used
    deliver(own_home, THIRD)
    run = own_home.run(THIRD, only=DECIDED)
    assert run.success, run.errors
    assert run.checks["window_open"]
    assert "look 1 of 1" in run.descriptions["window_open"]
