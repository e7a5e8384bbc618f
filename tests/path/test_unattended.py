"""A product that runs unattended under `ml-assets up`: good, bad, late and corrected deliveries, and parts that are killed in
between. At the end the ledger says what it should, nothing is lost, and people were told."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
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
from tests.support.object_store import object_store
from tests.support.postgres import new_database, postgres
from tests.support.shared import link_parsed_projects
from tests.support.sinks import Hook, MailServer, http_sink, smtp_sink
from tests.support.supervision import health

FIRST, SECOND, THIRD, FOURTH = DAYS
KILLS, KILLED_DAYS = 50, 12
PAUSE_SECONDS = 2.0, 40.0
"""The shortest and the longest time between two kills: some fall on a run's first second, and some runs end in between."""
WORKERS = 0.6
"""How many of the kills fall on the process of a run, while one is alive."""
RESTARTED_SECONDS = 60
LOG = logging.getLogger(__name__)
"""Numbers that were measured: `-o log_cli=1 --log-cli-level=INFO` shows them."""
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@dataclass
class Unattended:
    """The home under `ml-assets up`, and what its notices arrive at."""

    home: Home
    health_port: int
    log: Path
    hook: Hook
    mails: MailServer
    places: dict[str, str] = field(default_factory=dict)
    kills: int = 0
    process: subprocess.Popen[bytes] = field(init=False)
    space: Workspace = field(init=False)

    def __post_init__(self) -> None:
        self.space = Workspace(settings(self.environ))

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ML_ASSETS_", "DAGSTER_"))}
        own = {"ML_ASSETS_HOME": str(self.home.folder), "ML_ASSETS_PRODUCTS": str(self.home.declared.parent)}
        return {**kept, **own, **self.places}

    def start(self) -> None:
        """`ml-assets up`, in a process group of its own."""
        ports = ("--dagster-port", str(free_port()), "--mlflow-port", str(free_port()), "--health-port", str(self.health_port))
        command = [str(Path(sys.prefix, "bin", "ml-assets")), "up", *ports, "--only", "daemon,endpoint"]
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(command, env=self.environ, stdout=file, stderr=file, start_new_session=True)

    def processes(self) -> list[psutil.Process]:
        """`ml-assets up` and all that it started and that is alive, by itself first."""
        if self.process.poll() is not None:
            return []
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def kill_everything(self) -> None:
        """SIGKILL every process of the home at once, as a machine that fails does."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(30)

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

    def workers(self) -> dict[str, int]:
        """The processes of runs that are alive, by run. The number of one that ended may be another program's by now."""
        with self.space.ledger.engine.connect() as connection:
            holders = connection.execute(select(schema.leases.c.run, schema.leases.c.holder)).all()
        numbers = {run: int(holder.rpartition(":")[2]) for run, holder in holders if holder}
        return {run: pid for run, pid in numbers.items() if self._is_ours(pid)}

    def _is_ours(self, pid: int) -> bool:
        try:
            process, home = psutil.Process(pid), self.environ["ML_ASSETS_HOME"]
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("ML_ASSETS_HOME") == home
        except psutil.Error:
            return False

    def kill_worker(self, run: str) -> None:
        """SIGKILL the process that holds a run's lease."""
        os.kill(self.workers()[run], signal.SIGKILL)
        self.kills += 1

    def kill_something(self, chance: random.Random) -> str:
        """SIGKILL the process of a run, or a part that works; what was killed, empty where none of these is alive."""
        workers = [("run", pid) for pid in self.workers().values()]
        parts = [(part["name"], part["pid"]) for part in health(self.health_port)["parts"] if part["state"] == "works"]
        targets = workers if workers and chance.random() < WORKERS else parts
        if not targets:
            return ""
        name, pid = chance.choice(targets)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it ended by itself a moment ago
            return ""
        self.kills += 1
        return name

    def works(self, name: str) -> bool:
        """Whether a part does its work; not before `ml-assets up` itself answers."""
        try:
            parts = health(self.health_port)["parts"]
        except urllib.error.URLError:
            return False
        return any(part["name"] == name and part["state"] == "works" for part in parts)

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


@contextmanager
def shared_places() -> Iterator[dict[str, str]]:
    """The ledger and Dagster's storage in PostgreSQL, snapshots in an object store, as settings."""
    with postgres(connections=100) as folder, object_store() as s3:
        s3.make_bucket("unattended")
        ledger, dagster = (new_database(folder, name) for name in ("ledger", "dagster"))
        yield {"ML_ASSETS_LEDGER": ledger, "ML_ASSETS_DAGSTER": dagster, "ML_ASSETS_STORE": "s3://unattended/store", **s3.environ}


@pytest.fixture
def places(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Settings by which the home keeps less in its own folder: none, unless a test asks for `shared` ones."""
    if getattr(request, "param", "own") == "own":
        yield {}
        return
    with shared_places() as settings_shared:
        for name, value in settings_shared.items():
            monkeypatch.setenv(name, value)
        yield settings_shared


@pytest.fixture
def unattended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: dict[str, str]) -> Iterator[Unattended]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    landing = ("landing: {settle: 1, late: 1}\nretries: {most: 9, wait: 1}\nevaluation:", "port: 8812")
    home = shop(tmp_path / "home", (r"\nevaluation:", f"\n{landing[0]}"), (landing[1], f"port: {free_port()}"))
    hook, mails = Hook(), MailServer()
    with ExitStack() as stack:
        url, port = stack.enter_context(http_sink(hook)), stack.enter_context(smtp_sink(mails))
        mail = f"kind: email, host: 127.0.0.1, port: {port}, security: none, sender: a@b.c, to: [d@e.f]"
        (home.folder / "notify.yaml").write_text(f"channels:\n  - {{kind: webhook, url: '{url}'}}\n  - {{{mail}}}\n")
        unattended_home = Unattended(home, free_port(), tmp_path / "up.log", hook, mails, places)
        unattended_home.start()
        yield unattended_home
        unattended_home.kill_everything()
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
    assert home.serving() == home.get("release", home.space.ledger.pointer("shop", "production").body.as_of).facts["release"]


@pytest.mark.parametrize(("places", "is_same_machine"), [("own", True), ("shared", True), ("shared", False)], indirect=["places"])
def test_the_next_run_starts_within_a_minute_after_everything_was_killed_in_the_middle_of_one(
    unattended: Unattended, is_same_machine: bool, tmp_path: Path
) -> None:
    """On the machine that failed, or on another one that shares its ledger, store, Dagster storage and landing folder."""
    home = unattended.home
    deliver(home, FIRST)
    unattended.ends(FIRST, "current")
    deliver(home, SECOND)
    until(lambda: unattended.newest(SECOND) is not None, 120, "the first attempt at the second day")
    first = unattended.newest(SECOND)
    assert first is not None
    assert first.run in unattended.workers(), "its run is in the middle"
    unattended.kill_everything()
    assert not unattended.workers()

    if not is_same_machine:
        unattended.places |= {"ML_ASSETS_HOME": str(tmp_path / "other"), "ML_ASSETS_LANDING": str(home.folder / "landing")}
        link_parsed_projects(tmp_path / "other")
    restarted = time.monotonic()
    unattended.start()
    until(lambda: (now := unattended.newest(SECOND)) is not None and now.number == 2 and now.end is None, 240, "another run")
    seconds = time.monotonic() - restarted
    LOG.info(f"the next run began {seconds:.1f} s after the restart")
    second = unattended.ends(SECOND, "current")
    assert (second.number, second.outcome) == (2, "promoted")
    assert seconds < RESTARTED_SECONDS, f"it began {seconds:.1f} s after the restart"
    verified = unattended.command("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.timeout(5400)
def test_fifty_kills_at_random_lose_no_delivery(unattended: Unattended) -> None:
    """Kills fall on what is alive, as long as there is work to do: a delivery is put down whenever some more have fallen."""
    home, chance = unattended.home, random.Random(KILLS)
    days = [f"2024-03-{day:02}" for day in range(1, KILLED_DAYS + 1)]
    until(lambda: unattended.works("daemon"), 120, "the daemon")
    killed: Counter[str] = Counter()
    delivered, started = 0, time.monotonic()
    while unattended.kills < KILLS:
        if delivered < len(days) and unattended.kills * len(days) >= delivered * KILLS:
            deliver(home, days[delivered])
            delivered += 1
        time.sleep(chance.uniform(*PAUSE_SECONDS))
        killed[unattended.kill_something(chance)] += 1
    deliver(home, *days[delivered:])
    LOG.info(f"{KILLS} kills in {time.monotonic() - started:.0f} s: {dict(killed)}")
    for day in days:
        unattended.ends(day, "current", within=900)
    until(lambda: health(unattended.health_port)["is_well"], 240, "all parts again")
    assert killed["run"] >= KILLS // 10
    assert killed["daemon"] >= KILLS // 10
    messages = Counter(json.loads(body)["id"] for _, _, body in unattended.hook.posted)
    assert sum(count - 1 for count in messages.values()) <= unattended.kills
    verified = unattended.command("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
