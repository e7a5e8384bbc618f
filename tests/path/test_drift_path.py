"""A lasting drift begins: the alarm of its second day asks for a training on that day's rows, which passes the gates and serves a
day later; and it is told."""

import itertools
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.core.evaluation.packed_page import unpacked
from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.services.automation.policy import Trigger, due_training, record_trigger
from ml_assets.services.automation.product_notices import causes
from ml_assets.services.watching.evidently_page import evidently_page
from ml_assets.services.watching.overview import watched
from resources.landing import Landing
from resources.ledger import triggers
from resources.lineage import NotMaterialized
from tests.support.homes.path_homes import Home, Run
from tests.support.homes.shop import csv_bytes, rows, shop

pytestmark = pytest.mark.long
DAYS = [f"2024-03-{day:02}" for day in range(1, 13)]
DRIFTED = DAYS[9:]
ALARM, AFTER = DRIFTED[1:]
WATCHED = ("raw", "dataset", "quarantine", "features", "monitoring")


def deliver(at: Home, day: str) -> None:
    scale = 4 if day in DRIFTED else 1
    table = rows(day, count=300, amount=lambda _, row: round(row["amount"] * scale, 2))
    at.deliver(day, {"orders": csv_bytes(table)})


def trigger_of(at: Home) -> Trigger | str:
    return due_training(at.space.ledger, dg.DagsterInstance.ephemeral(), at.product, datetime.now(UTC))


def titles(at: Home) -> list[str]:
    notices = causes(at.space.lineage, Landing(at.space.settings.landing), at.space.settings, at.product)
    return [notice.why for notice in notices if notice.event == "drift"]


def test_a_lasting_drift_trains_and_serves_a_release_of_its_own(tmp_path: Path) -> None:
    at = shop(tmp_path, (r"(?m)^window:", "retrain: {on: [drift]}\nwindow:"))
    runs: dict[str, Run] = {}
    for number, day in enumerate(DAYS):
        deliver(at, day)
        runs[day] = at.run(day, leaves=()) if number < 2 else at.run(day, only=WATCHED)
        assert runs[day].success, runs[day].errors
        if number and day < ALARM:
            assert trigger_of(at) == "retrain: asks for nothing new", day
        if day == ALARM:
            assert str(trigger_of(at)).endswith(f"training waits for the first partition whose candidate is trained on {ALARM}")
    before = at.serving()
    assert [runs[day].checks.get("columns_stable") for day in DAYS[6:9]] == [True] * 3
    first, second = (runs[day].descriptions["columns_stable"] for day in DRIFTED[:2])
    assert first.startswith(("watch", "no alarm yet"))
    assert second.startswith(f"alarm: in {DRIFTED[0]} and again in {DRIFTED[1]}: amount")
    oldest, *_, newest = watched(at.space.lineage, at.product, at.space.settings)
    page = evidently_page(at.space.lineage, at.product, newest.data)
    assert newest.data.sentence == runs[AFTER].descriptions["columns_stable"]
    assert escape(newest.data.sentence) in page.decode(), "the product's verdict stands above Evidently's page"
    assert "Dataset Drift is detected" in unpacked(page), "as the verdict says"
    with pytest.raises(NotMaterialized, match="needs earlier partitions to compare with"):
        evidently_page(at.space.lineage, at.product, oldest.data)

    trigger = trigger_of(at)
    assert isinstance(trigger, Trigger)
    assert (trigger.partition, trigger.kind, trigger.key) == (AFTER, "drift", ALARM)
    assert any("amount" in why for why in titles(at))
    run = at.run(AFTER, leaves=())
    with dg.DagsterInstance.ephemeral() as instance:
        record_trigger(at.space.ledger, at.product, instance.add_run(dg.DagsterRun("shop_path", tags=trigger.tags)), AFTER)
    assert run.success, run.errors
    assert at.serving() != before, "an alarm blocks no promotion"
    release = at.get("release", AFTER)
    assert ReleaseFacts.of(release).release == at.serving()
    assert [entry.body.why for entry in triggers.triggers(at.space.ledger, "shop")] == [trigger.why]
    assert "training waits" in str(trigger_of(at)), "the alarm lasts, and asks again with a later day"
    assert list(itertools.chain(titles(at))) != [], "the alarm lasts until a later day is calm"
