"""A promotion is held to what it promised: confirmed on served rows, or demoted, and then it never comes back by itself."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.core.lineage.facts import RealisedFacts
from ml_assets.services.automation.product_notices import causes
from ml_assets.services.outcomes import probation as outcomes_probation
from ml_assets.services.outcomes.probation import probations, to_demote
from ml_assets.services.release_status import release_status
from resources.dagster_resources import resources_of
from resources.ledger.probations import endings
from sensors import probation as sensor
from tests.support.homes.apart import apart, deliver_orders, deliver_returns
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS

FIRST, SECOND, THIRD, FOURTH = DAYS
PROMISE = "    - {name: not_worse, prove: roc_auc(candidate) - roc_auc(champion) > -0.8}\n"


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The third day's release replaced the second's, and served the fourth day, whose outcomes are known."""
    home = apart(
        tmp_path_factory.mktemp("served"),
        (r"(    - \{name: floor.*\n)", r"\1" + PROMISE),
        (r"window: \{train", "probation: {after: 1, on_broken: rollback}\nwindow: {train"),
    )
    deliver_orders(home, *DAYS)
    for day in DAYS:
        deliver_returns(home, day)
    with blank_pages():
        runs = [home.run(day) for day in DAYS[:3]]
        runs.append(home.run(FOURTH, only=("raw", "dataset", "quarantine", "features", "predictions", "outcomes", "realised")))
    assert all(run.success for run in runs), [run.errors for run in runs]
    assert home.serving() == home.get("release", THIRD).facts["release"], runs[2].outcome
    return home


def tick(home: Home) -> str:
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources=resources_of(home.space.settings)) as context,
    ):
        skipped = sensor.build(home.product)(context)
    assert isinstance(skipped, dg.SkipReason)
    return skipped.skip_message or ""


def test_a_promise_is_confirmed_on_what_the_release_served(served: Home, tmp_path: Path) -> None:
    home = served.copy(tmp_path)
    facts = RealisedFacts.of(home.get("realised", FOURTH))
    second, third = (home.get("release", day) for day in (SECOND, THIRD))
    (promise,) = facts.promises[third.snapshot]
    assert (promise.name, promise.units, promise.limit) == ("not_worse", 40, -0.8)
    read = {given.manifest for given in home.get("realised", FOURTH).recipe.inputs}
    assert {second.id, third.id} <= read, "the replaced release was scored too"
    first, newest = probations(home.space.lineage, home.product, datetime.now(UTC))
    assert (first.state, newest.state) == ("superseded", "confirmed")
    minimum = home.product.gates.minimum.model_copy(update={"units": 41})
    strict = home.product.model_copy(update={"gates": home.product.gates.model_copy(update={"minimum": minimum})})
    assert probations(home.space.lineage, strict, datetime.now(UTC))[1].state == "open", "40 units are too few to say anything"
    assert "is confirmed" in tick(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcomes_probation, "_asked_again", None)  # what has ended is not worked out again each tick
        assert tick(home) == "no probation ended", "it is recorded once"
    assert [entry.body.outcome for entry in endings(home.space.ledger, "shop")] == ["superseded", "confirmed"]
    assert home.serving() == third.facts["release"]


def broken(home: Home) -> None:
    """The fourth day as it would be recorded had the release been far worse than the one that it replaced."""
    realised, bundle = home.get("realised", FOURTH), home.get("release", THIRD).snapshot
    (promise,) = realised.facts["promises"][bundle]
    worse: dict[str, Any] = {**promise, "units": 40, "total": -40 * 0.95, "squares": 40 * 0.95**2 + 0.1}
    home.space.ledger.publish(replace(realised, facts={**realised.facts, "promises": {bundle: [worse]}}), run="r")


def test_a_broken_promise_rolls_back_and_the_release_never_comes_back_by_itself(served: Home, tmp_path: Path) -> None:
    home = served.copy(tmp_path)
    broken(home)
    demoted = home.get("release", THIRD)
    words = tick(home)
    assert f"release {demoted.facts['release']} is broken" in words
    assert home.serving() == home.get("release", SECOND).facts["release"]
    move = home.space.ledger.moves("shop", "production")[-1]
    assert (move.kind, move.body.by) == ("rollback", "probation")
    assert "not_worse" not in move.body.reason
    assert "roc_auc(candidate) - roc_auc(champion) > -0.8: -0.9500" in move.body.reason
    assert tick(home) == "no probation ended"
    status = release_status(home.space.lineage, home.product, demoted)
    assert status.decision.action == "keep"
    assert "only a rollback brings it back" in status.decision.reasons[0]


def test_a_broken_promise_that_is_only_told_moves_nothing(served: Home, tmp_path: Path) -> None:
    home = served.copy(tmp_path)
    home.edit("product.yaml", ("on_broken: rollback", "on_broken: tell"))
    broken(home)
    tick(home)
    assert to_demote(home.space.lineage, home.product) is None
    assert home.serving() == home.get("release", THIRD).facts["release"]
    notices = causes(home.space.lineage, home.space.landing, home.space.settings, home.product)
    (notice,) = [cause for cause in notices if "promise" in cause.title]
    assert notice.command == "ml-assets rollback shop"
