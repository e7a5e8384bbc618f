"""A reason to train whose candidate was evaluated already launches nothing, and the ledger says which release satisfies it."""

import re
import time
from datetime import datetime, tzinfo
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.source import Source
from resources.dagster_resources import resources_of
from resources.ledger import triggers
from sensors import retrain, stale
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS, deliver, shop

FIRST, SECOND = DAYS[:2]
RARELY, EVERY_MINUTE = "0 0 29 2 *", "* * * * *"


def tick(home: Home) -> dg.RunRequest | str:
    """What the sensor launches, or why it launches nothing."""
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources=resources_of(home.space.settings)) as context,
    ):
        result = retrain.build(home.product)(context)
    if isinstance(result, dg.SkipReason):
        return result.skip_message or ""
    assert isinstance(result, dg.RunRequest)
    return result


def loaded(home: Home, commit: str, cursor: str) -> tuple[str, str]:
    """What the sensor of stale paths says in a code location of a commit, and the cursor that it leaves."""
    source: Source = {"code": {"commit": commit * 40, "is_dirty": False}}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources=resources_of(home.space.settings), cursor=cursor) as context,
    ):
        result = stale.build(home.product, source)(context)
        assert isinstance(result, dg.SkipReason), result
        return result.skip_message or "", context.cursor or ""


@pytest.mark.long
def test_a_candidate_that_is_there_satisfies_a_schedule_and_other_code_until_something_of_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(minutes: int) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> "Clock":
                return cls.fromtimestamp(time.time() + 60 * minutes, tz)

        monkeypatch.setattr(retrain, "datetime", Clock)

    home = shop(tmp_path, (r"(?m)^window:", f"retrain: {{on: [schedule, code], cron: '{RARELY}'}}\nwindow:"))
    deliver(home, FIRST, SECOND)
    with blank_pages():
        assert home.run(FIRST).success
        assert home.run(SECOND).success
    release = ReleaseFacts.of(home.get("release", SECOND)).release
    assert tick(home) == "retrain: asks for nothing new"

    home.edit("product.yaml", (re.escape(RARELY), EVERY_MINUTE))
    later(2)
    assert str(tick(home)).endswith(f"; satisfied by release {release}, which a training now would make again")
    (entry,) = triggers.triggers(home.space.ledger, "shop")
    assert (entry.body.satisfied_by, entry.body.run) == (f"release {release}", "")
    later(0)
    assert tick(home) == "retrain: asks for nothing new"

    words, cursor = loaded(home, "a", "")
    assert "satisfied" not in words, "nothing changed: it is the first look"
    words, cursor = loaded(home, "b", cursor)
    why = "the code location was loaded from bbbbbbbbbb"
    assert words.endswith(f"; {why}; satisfied by release {release}, which a training now would make again")
    assert [(entry.body.kind, entry.body.why) for entry in triggers.triggers(home.space.ledger, "shop")][1:] == [("code", why)]
    words, _ = loaded(home, "b", stale.STALE)
    assert "satisfied" not in words, "it is recorded once"

    home.edit("product.yaml", ("depth: 3", "depth: 2"))
    later(4)
    request = tick(home)
    assert isinstance(request, dg.RunRequest), request
    assert request.partition_key == SECOND
