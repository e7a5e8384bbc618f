"""Outcomes that arrive later: the data go on, training waits and says for what, and the delivery that brings them launches it."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.services.automation.policy import Trigger, due_training
from ml_assets.services.planning.plan import make_plan
from resources.dagster_resources import resources_of
from sensors import new_data
from tests.support.homes.path_homes import Home, Run, blank_pages
from tests.support.homes.shop import DAYS, deliver, shop

FIRST, SECOND, THIRD, _ = DAYS
NULLS = (r"null_values: \[NA\]", 'null_values: [""]')
WAITS = f"no came_back of the test window {SECOND} is known yet: training waits for a delivery of it that brings them"


def ran(home: Home, *days: str) -> list[Run]:
    with blank_pages():
        return [home.run(day) for day in days]


def planned(home: Home) -> set[tuple[str, str]]:
    """What a plan would make, without the leaves, which the runs leave out."""
    items = make_plan(home.space.lineage, home.space.landing, home.product, cache=home.space.settings.cache)
    return {(item.stage, item.partition) for item in items if item.stage not in ("report", "tracking")}


def test_training_that_waits_for_partitions_names_them_with_the_command_that_makes_them(tmp_path: Path) -> None:
    home = shop(tmp_path, ("train: 3, test: 1, minimum: 1", "train: 2, test: 1, minimum: 2"))
    deliver(home, FIRST)
    first = home.run(FIRST, only=["raw", "dataset", "quarantine", "features"])
    assert first.success, first.errors
    waits = home.run(THIRD, only=["model"])
    assert waits.outcome is not None
    assert waits.outcome.reason == (
        f"no candidate yet: 1 of at least 2 training partitions before {THIRD}; not there: {SECOND}; "
        f"`ml-assets run shop --partition {SECOND}` makes what is delivered"
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The first day with its outcomes, the second without."""
    home = shop(tmp_path, NULLS)
    deliver(home, FIRST)
    deliver(home, SECOND, came_back="")
    return home


def test_training_waits_for_outcomes_and_begins_when_a_delivery_brings_them(home: Home) -> None:
    first, second = ran(home, FIRST, SECOND)
    assert first.success
    assert second.success, second.errors
    assert "features" in second.computed
    assert "model" not in second.materialized
    assert second.outcome is not None
    assert second.outcome.reason == f"no candidate yet: {WAITS}"
    assert "look" not in home.counts()
    assert not planned(home), "nothing would change by running it again"
    deliver(home, SECOND)
    assert ("model", SECOND) in planned(home)
    (again,) = ran(home, SECOND)
    assert again.success, again.errors
    assert home.serving() == home.get("release", SECOND).facts["release"]
    assert not planned(home)


def test_the_sensor_launches_the_delivery_that_brings_the_outcomes(home: Home) -> None:
    home.edit("product.yaml", ("title:", "landing: {settle: 0}\ntitle:"))
    ran(home, FIRST, SECOND)
    assert requested(home) == []
    deliver(home, SECOND)
    assert requested(home) == [SECOND]


def requested(home: Home) -> list[str | None]:
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources=resources_of(home.space.settings)) as context,
    ):
        result = new_data.build(home.product)(context)
        return [request.partition_key for request in result.run_requests or []] if isinstance(result, dg.SensorResult) else []


@pytest.mark.long
def test_a_policy_trains_on_the_newest_window_whose_outcomes_are_known(home: Home) -> None:
    home.edit("product.yaml", ("title:", "retrain: {cool_down: 1}\ntitle:"))
    deliver(home, THIRD, came_back="")
    ran(home, FIRST, SECOND, THIRD)
    assert "fewer than window.minimum" in str(due(home)), "only the first day has outcomes, and nothing is before it"
    deliver(home, SECOND)
    with blank_pages():
        home.run(SECOND, only=["raw", "dataset", "quarantine", "features"])
    trigger = due(home)
    assert isinstance(trigger, Trigger)
    assert trigger.partition == SECOND
    assert "what kept 2024-03-02 from being trained on has changed" in trigger.why


def due(home: Home) -> Trigger | str:
    with dg.DagsterInstance.ephemeral() as instance:
        return due_training(home.space.ledger, instance, home.product, datetime.now(UTC))


@pytest.mark.long
def test_a_partition_that_cannot_train_is_to_run_again_only_when_something_changed(tmp_path: Path) -> None:
    """All outcomes of the first day are alike: no candidate of the second can be trained on it."""
    home = shop(tmp_path, NULLS)
    deliver(home, FIRST, came_back=0)
    deliver(home, SECOND)
    runs = ran(home, FIRST, SECOND)
    assert runs[1].outcome is not None
    assert "came_back' is 0 in all 40 training rows" in runs[1].outcome.reason
    assert not planned(home)
    entries = home.counts()["refusal"]
    ran(home, SECOND)
    assert home.counts()["refusal"] == entries, "the same refusal is recorded once"
    home.edit("product.yaml", ("depth: 3", "depth: 2"))
    assert ("model", SECOND) in planned(home), "another configuration may train"
    home.edit("product.yaml", ("depth: 2", "depth: 3"))
    deliver(home, FIRST)
    with blank_pages():
        home.run(FIRST)
    assert ("model", SECOND) in planned(home)
