"""A lasting drift under the real daemon, in a weekly product that nobody watches: from the delivery to the release's card."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ml_assets.core.lineage.facts import ReleaseFacts
from resources.ledger import triggers
from tests.path.test_unattended import Unattended, until
from tests.support.command_line import free_port
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import csv_bytes, rows, shop
from tests.support.sinks import Hook, MailServer, http_sink

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
WEEKS = (
    "2024-01-01",
    "2024-01-08",
    "2024-01-15",
    "2024-01-22",
    "2024-01-29",
    "2024-02-05",
    "2024-02-12",
    "2024-02-19",
    "2024-02-26",
)
DRIFTED = ("2024-03-04", "2024-03-11", "2024-03-18")
WATCHED = ("raw", "dataset", "quarantine", "features", "monitoring")


def deliver(home: Home, week: str) -> None:
    scale = 4 if week in DRIFTED else 1
    home.deliver(week, {"orders": csv_bytes(rows(week, count=300, amount=lambda _, row: round(row["amount"] * scale, 2)))})


@pytest.fixture
def weekly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unattended]:
    """A weekly shop with nine calm weeks, of which the second has the first release; and the daemon."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    home = shop(
        tmp_path / "home",
        (r"partitions: \{.*\}", "partitions: {every: week, start: 2024-01-01, end: 2024-06-03}"),
        (r"\nevaluation:", "\nlanding: {settle: 0}\nretries: {most: 9, wait: 1}\nretrain: {on: [drift]}\nevaluation:"),
        ("port: 8812", f"port: {free_port()}"),
    )
    hook = Hook()
    with ExitStack() as stack:
        url = stack.enter_context(http_sink(hook))
        (home.folder / "notify.yaml").write_text(f"channels:\n  - {{kind: webhook, url: '{url}'}}\n")
        for number, week in enumerate(WEEKS):
            deliver(home, week)
            run = home.run(week) if number < 2 else home.run(week, only=WATCHED)
            assert run.success, run.errors
        unattended = Unattended(home, free_port(), tmp_path / "up.log", hook, MailServer())
        unattended.start()
        yield unattended
        unattended.kill_everything()
        unattended.space.ledger.close()


def test_a_lasting_drift_asks_for_a_training_that_serves_and_is_told(weekly: Unattended) -> None:
    home = weekly.home
    before = home.serving()
    for week in DRIFTED:
        assert triggers.triggers(weekly.space.ledger, "shop") == [], f"nothing before {week} trains"
        deliver(home, week)
        weekly.ends(week, "current")
    until(lambda: home.serving() != before, 300, "a release of the training that the alarm asked for")

    _, second, third = DRIFTED
    (entry,) = triggers.triggers(weekly.space.ledger, "shop")
    assert (entry.body.kind, entry.body.key, entry.body.partition) == ("drift", second, third), "trained on what drifted"
    assert f"in {DRIFTED[0]} and again in {second}: amount" in entry.body.why
    name = ReleaseFacts.of(home.get("release", third)).release
    assert home.serving() == name
    assert home.get("evaluation", third).facts["verdict"]["decision"] == "ACCEPT"
    until(lambda: any(notice["event"] == "drift" for notice in weekly.posted), 120, "the notice of the drift")
    until(lambda: weekly.was_posted("promoted", third), 120, "the notice of the promotion")
    card = weekly.command("card", name)
    assert card.returncode == 0, card.stderr
    assert "drift" in card.stdout
    assert entry.body.why.split(":")[0] in card.stdout
    assert json.loads(weekly.command("status", "shop", "--json").stdout)["answers"]["production"] == name
