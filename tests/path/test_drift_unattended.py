"""A lasting drift under the real daemon, in a weekly product that nobody watches: from the delivery to the release's card."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
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
DRIFTED = ("2024-03-04", "2024-03-11")


def deliver(home: Home, week: str) -> None:
    scale = 4 if week in DRIFTED else 1
    home.deliver(week, {"orders": csv_bytes(rows(week, count=300, amount=lambda _, row: round(row["amount"] * scale, 2)))})


@pytest.fixture
def weekly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unattended]:
    """A weekly shop with its first release, and the daemon."""
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
        for week in WEEKS[:2]:
            deliver(home, week)
            run = home.run(week)
            assert run.success, run.errors
        made = Unattended(home, free_port(), tmp_path / "up.log", hook, MailServer())
        process = made.start()
        yield made
        for child in [*psutil.Process(process.pid).children(recursive=True)] if psutil.pid_exists(process.pid) else []:
            child.kill()
        process.kill()
        process.wait(30)
        made.space.ledger.close()


def test_a_lasting_drift_asks_for_a_training_that_serves_and_is_told(weekly: Unattended) -> None:
    home = weekly.home
    before = home.answering()
    for week in WEEKS[2:]:
        deliver(home, week)
    for week in WEEKS[2:]:
        weekly.ends(week, "current", within=600)
    assert triggers.triggers(weekly.space.ledger, "shop") == [], "nine calm weeks ask for nothing"
    deliver(home, DRIFTED[0])
    weekly.ends(DRIFTED[0], "current")
    assert triggers.triggers(weekly.space.ledger, "shop") == [], "one week alone is no alarm"
    deliver(home, DRIFTED[1])
    weekly.ends(DRIFTED[1], "current")
    until(lambda: home.answering() != before, 300, "a release of the training that the alarm asked for")

    (entry,) = triggers.triggers(weekly.space.ledger, "shop")
    assert (entry.body.kind, entry.body.partition) == ("drift", DRIFTED[1])
    assert f"in {DRIFTED[0]} and again in {DRIFTED[1]}: amount" in entry.body.why
    release = home.get("release", DRIFTED[1])
    name = ReleaseFacts.of(release).release
    assert home.answering() == name
    assert home.get("evaluation", DRIFTED[1]).facts["verdict"]["decision"] == "ACCEPT"
    for event in ("drift", "promoted"):
        until(lambda e=event: weekly.was_posted(e, DRIFTED[1]), 120, f"the notice of {event}")  # type: ignore[misc]
    card = weekly.command("card", name)
    assert card.returncode == 0, card.stderr
    assert "drift" in card.stdout
    assert entry.body.why.split(":")[0] in card.stdout
    assert json.loads(weekly.command("status", "shop", "--json").stdout)["answers"]["production"] == name
