"""A product that runs unattended under `ml-assets up`: good, bad, late and corrected deliveries, and parts that are killed in
between. At the end the ledger says what it should, nothing is lost, and people were told."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import select

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.attempts import AttemptRecord
from resources.ledger import attempts
from resources.ledger import tables as schema
from resources.settings import settings
from tests.support.command_line import free_port
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS, deliver, shop
from tests.support.sinks import Hook, MailServer, http_sink, smtp_sink
from tests.support.supervision import health

FIRST, SECOND, THIRD, FOURTH = DAYS
KILLS = 50
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@dataclass
class Unattended:
    """The home under `ml-assets up`, and what its notices arrive at."""

    home: Home
    health_port: int
    log: Path
    hook: Hook
    mails: MailServer
    kills: int = 0
    space: Workspace = field(init=False)

    def __post_init__(self) -> None:
        self.space = Workspace(settings(self.environ))

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ML_ASSETS_", "DAGSTER_"))}
        return {**kept, "ML_ASSETS_HOME": str(self.home.folder), "ML_ASSETS_PRODUCTS": str(self.home.declared.parent)}

    def start(self) -> subprocess.Popen[bytes]:
        """`ml-assets up`, in a process group of its own."""
        ports = ("--dagster-port", str(free_port()), "--mlflow-port", str(free_port()), "--health-port", str(self.health_port))
        command = [str(Path(sys.prefix, "bin", "ml-assets")), "up", *ports, "--only", "daemon,endpoint"]
        with self.log.open("ab") as file:
            return subprocess.Popen(command, env=self.environ, stdout=file, stderr=file, start_new_session=True)

    def newest(self, day: str) -> AttemptRecord | None:
        attempt = attempts.newest(self.space.ledger, "shop", [day]).get(day)
        return attempt.record if attempt else None

    def ends(self, day: str, end: str, *, within: float = 240) -> AttemptRecord:
        """Wait until the newest attempt at a day has this end."""
        until(lambda: (now := self.newest(day)) is not None and now.end == end, within, f"{day}: {end}; {self.newest(day)}")
        record = self.newest(day)
        assert record is not None
        return record

    def kill_part(self, name: str) -> None:
        (pid,) = [part["pid"] for part in health(self.health_port)["parts"] if part["name"] == name]
        os.kill(pid, signal.SIGKILL)
        self.kills += 1

    def kill_worker(self, run: str) -> None:
        """SIGKILL the process that holds a run's lease."""
        with self.space.ledger.engine.connect() as connection:
            holder = connection.scalar(select(schema.leases.c.holder).where(schema.leases.c.run == run))
        os.kill(int(str(holder).rpartition(":")[2]), signal.SIGKILL)
        self.kills += 1

    def kill_something(self, chance: random.Random) -> None:
        """SIGKILL a part, or the process of a run: nothing where none of that kind is alive."""
        with self.space.ledger.engine.connect() as connection:
            holders = [str(holder) for holder in connection.scalars(select(schema.leases.c.holder))]
        alive = [pid for holder in holders if psutil.pid_exists(pid := int(holder.rpartition(":")[2]))]
        parts = [part["pid"] for part in health(self.health_port)["parts"] if part["pid"]]
        if targets := alive if alive and chance.random() < 0.3 else parts:
            os.kill(chance.choice(targets), signal.SIGKILL)
            self.kills += 1

    @property
    def posted(self) -> list[dict[str, Any]]:
        return [notice for _, _, body in self.hook.posted for notice in json.loads(body)["notices"]]

    def was_posted(self, event: str, partition: str, *, is_over: bool = False) -> bool:
        return any((n["event"], n["partition"], n["is_over"]) == (event, partition, is_over) for n in self.posted)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "ml_assets", *arguments]
        return subprocess.run(argv, env=self.environ, capture_output=True, text=True, timeout=240, check=False)


def until(is_so: Callable[[], bool], within: float, what: str) -> None:
    end = time.monotonic() + within
    while not is_so():
        assert time.monotonic() < end, f"{what}: not within {within:g} s"
        time.sleep(0.5)


@pytest.fixture
def unattended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unattended]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    landing = ("landing: {settle: 1, late: 1}\nretries: {most: 9, wait: 1}\nevaluation:", "port: 8812")
    home = shop(tmp_path / "home", (r"\nevaluation:", f"\n{landing[0]}"), (landing[1], f"port: {free_port()}"))
    hook, mails = Hook(), MailServer()
    with ExitStack() as stack:
        url, port = stack.enter_context(http_sink(hook)), stack.enter_context(smtp_sink(mails))
        mail = f"kind: email, host: 127.0.0.1, port: {port}, security: none, sender: a@b.c, to: [d@e.f]"
        (home.folder / "notify.yaml").write_text(f"channels:\n  - {{kind: webhook, url: '{url}'}}\n  - {{{mail}}}\n")
        unattended_home = Unattended(home, free_port(), tmp_path / "up.log", hook, mails)
        process = unattended_home.start()
        yield unattended_home
        for child in [*psutil.Process(process.pid).children(recursive=True)] if psutil.pid_exists(process.pid) else []:
            child.kill()
        process.kill()
        process.wait(30)
        unattended_home.space.ledger.close()


def test_nothing_is_lost_and_people_are_told_while_parts_are_killed(unattended: Unattended) -> None:
    home = unattended.home
    deliver(home, FIRST)
    unattended.ends(FIRST, "current")
    deliver(home, SECOND, amount="free")
    refused = unattended.ends(SECOND, "refused")
    until(lambda: unattended.was_posted("data_refused", SECOND), 60, "the notice of what is refused")

    deliver(home, THIRD)
    until(lambda: unattended.newest(THIRD) is not None, 120, "the first attempt at the third day")
    first = unattended.newest(THIRD)
    assert first is not None
    unattended.kill_worker(first.run)
    third = unattended.ends(THIRD, "current")
    assert (third.number, third.outcome) == (2, "promoted")
    until(lambda: health(unattended.health_port)["is_well"], 120, "the endpoint with its first release")

    for part in ("daemon", "endpoint:shop"):
        unattended.kill_part(part)
    deliver(home, FOURTH)
    deliver(home, SECOND)  # corrected
    fourth, second = unattended.ends(FOURTH, "current"), unattended.ends(SECOND, "current")
    assert second.content != refused.content
    assert fourth.outcome in ("promoted", "kept", "withheld")
    until(lambda: health(unattended.health_port)["is_well"], 120, "both parts again")

    mails = [
        ("data_refused", SECOND, True),
        ("promoted", THIRD, False),
        *([("promoted", FOURTH, False)] if fourth.outcome == "promoted" else []),
    ]
    for event, day, is_over in mails:
        until(lambda e=event, d=day, o=is_over: unattended.was_posted(e, d, is_over=o), 90, f"{event} {day} {is_over}")
    messages = Counter(json.loads(body)["id"] for _, _, body in unattended.hook.posted)
    assert sum(count - 1 for count in messages.values()) <= unattended.kills
    mailed = {str(mail["Message-ID"]) for mail in unattended.mails.mails}
    assert len(mailed) >= len(messages)
    assert {day for day in DAYS if (now := unattended.newest(day)) is not None and now.end == "current"} == {*DAYS}
    assert {n["is_over"] for n in unattended.posted if n["event"] == "late"} == {False}, "2024-03-31 never came"
    verified = unattended.command("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert home.answering() == home.get("release", home.space.ledger.pointer("shop", "production").body.as_of).facts["release"]


def test_fifty_kills_at_random_lose_no_delivery(unattended: Unattended) -> None:
    home, chance = unattended.home, random.Random(KILLS)
    days = [f"2024-03-{day:02}" for day in range(1, 9)]
    until(lambda: health(unattended.health_port)["parts"][0]["state"] == "works", 120, "the daemon")
    for number in range(KILLS):
        if number % 6 == 0 and number // 6 < len(days):
            deliver(home, days[number // 6])
        time.sleep(chance.uniform(0.5, 6))
        unattended.kill_something(chance)
    for day in days:
        unattended.ends(day, "current", within=900)
    until(lambda: health(unattended.health_port)["is_well"], 240, "all parts again")
    assert unattended.kills >= KILLS // 2
    messages = Counter(json.loads(body)["id"] for _, _, body in unattended.hook.posted)
    assert sum(count - 1 for count in messages.values()) <= unattended.kills
    verified = unattended.command("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
