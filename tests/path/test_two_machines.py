"""Two machines with nothing in common but a ledger on PostgreSQL, a store and a landing folder: what is decided on one of them
serves on both, whatever is killed meanwhile."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import dagster as dg
import pytest

from ml_assets.services.replicas.shared_logs import served_log
from ml_assets.services.verify.home import verify
from ml_assets.serving.client import http_client as client
from ml_assets.serving.log.reader import read
from ml_assets.spec.product import load
from resources.dagster_resources import resources_of
from sensors import new_data
from tests.support.command_line import Days
from tests.support.homes.small_home import small_home
from tests.support.machines import Machine, golden, predicted, two_machines
from tests.support.postgres import Postgres, new_database, postgres_server

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
SECONDS = 5.0
"""In which every server has to serve what was decided anywhere, on a machine that does nothing else."""
COLD_SECONDS = 10.0


def busy() -> float:
    """How many times as long as alone anything takes on this machine now: others may use its cores too."""
    started, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < 0.1:
        pass
    return max(1.0, (time.monotonic() - started) / 0.1)


@dataclass
class World:
    days: Days
    database: Postgres
    a: Machine
    b: Machine

    def both_serve(self, what: str, *command: str, on: Machine) -> str:
        """Decide by a command on one machine; both servers serve that within SECONDS of its entry. Returns the release."""
        before = self.a.release()
        before_busy = busy()
        seen: dict[str, float] = {}
        is_over = Event()

        def watch() -> None:
            while not is_over.wait(0.05):
                releases = {self.a.release(), self.b.release()}
                if len(releases) == 1:
                    seen.setdefault(*releases, time.time())

        watcher = Thread(target=watch)
        watcher.start()
        try:
            on.done(*command)
            space = on.space
            move = space.ledger.moves("flights", "production")[-1]
            space.ledger.close()
            _until(lambda: move.body.release in seen, 60)
        finally:
            is_over.set()
            watcher.join()
        assert move.body.release != before
        seconds = seen[move.body.release] - datetime.fromisoformat(move.at).timestamp()
        factor = max(before_busy, busy())
        sys.stderr.write(f"{seconds:6.1f} s  {what}, on a machine that takes {factor:.0f} times as long\n")
        assert seconds < SECONDS * factor
        return move.body.release


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    days = small_home(tmp_path_factory, tmp_path / "a")
    kind = getattr(request, "param", "folder")
    with postgres_server() as database, two_machines(days, tmp_path, str(database.folder), kind) as (a, b):
        yield World(days, database, a, b)


def silent_or_wrong(machine: Machine) -> list[dict[str, Any]]:
    status = json.loads(machine.done("status", "flights", "--json"))
    return [row for row in status["replicas"] if row["is_silent"] or row["release"] != status["answers"]["production"]]


@pytest.mark.parametrize("world", ["folder", "s3"], indirect=True)
def test_what_is_decided_on_one_machine_serves_on_both(world: World) -> None:
    a, b = world.a, world.b
    a.serve()
    second = a.release()
    started = time.monotonic()
    b.serve()
    assert predicted(b, golden(b, second)) == second
    seconds, factor = time.monotonic() - started, busy()
    sys.stderr.write(f"{seconds:6.1f} s  cold start to first answer, on a machine that takes {factor:.0f} times as long\n")
    assert seconds < COLD_SECONDS * factor

    # a rollback on A
    words = ("--by", "ann", "--reason", "late rates look wrong")
    first = world.both_serve("rollback on A", "rollback", "flights", *words, on=a)

    # a delivery that A's sensor sees, and a run on B that promotes
    for table, content in _day("2013-01-04").items():
        b.space.landing.put(world.days.flights, table, "2013-01-04", content)
    assert _asked(a) == ["2013-01-04"]
    third = world.both_serve("promotion by a run on B", "run", "flights", "--partition", "2013-01-04", on=b)
    assert third not in (first, second)

    # a recall on B
    words = ("--by", "ann", "--reason", "a bad day", "--apply")
    recalled_to = world.both_serve("recall on B", "recall", "flights", third, *words, on=b)

    # predictions of both are seen from either
    for machine in (a, b):
        assert predicted(machine, golden(machine, recalled_to)) == recalled_to
    b.open.close()  # a server ships what it logged when it stops, and every half a minute
    a.open.close()
    rows = len(golden(a, recalled_to)["requests"])
    for machine in (a, b):
        space = machine.space
        log = read(served_log(space.settings, space.snapshots, "flights"))
        assert log.height == len(golden(a, second)["requests"]) + 2 * rows
        checked = verify(space.settings)
        assert [one for one in checked.discrepancies if not one.is_note] == []
        space.ledger.close()


def test_a_killed_server_is_named_a_killed_ledger_is_survived_and_the_glass_can_be_broken(world: World) -> None:
    a, b = world.a, world.b
    a.serve()
    b.serve()
    second = a.release()
    space = a.space
    first = next(move.body.release for move in space.ledger.moves("flights", "production"))
    space.ledger.close()

    # the database is killed: both serve on and say so, and B goes back by hand
    world.database.kill()
    _until(lambda: all(client.ready(machine.url).get("ledger", {}).get("away_since") for machine in (a, b)), 15)
    for machine in (a, b):
        assert predicted_release(machine) == second
        assert "ml_assets_ledger_away" in client.metrics(machine.url)
    with pytest.raises(client.EndpointRefused, match="break_glass"):
        client.rollback(a.url, reason="no")
    went_back = _post(b.url, {"break_glass": True, "reason": "late rates look wrong"})
    assert went_back["release"] == first
    assert predicted_release(a) == second

    # it comes back: what was done by hand holds everywhere
    world.database.start()
    back = time.monotonic()
    _until(lambda: {a.release(), b.release()} == {first}, 15)
    sys.stderr.write(f"{time.monotonic() - back:6.1f} s  from the ledger's return until both serve the break-glass release\n")
    space = b.space
    move = space.ledger.moves("flights", "production")[-1]
    assert (move.kind, "break-glass" in move.body.reason) == ("rollback", True)
    space.ledger.close()
    _until(lambda: len(json.loads(a.done("status", "flights", "--json"))["replicas"]) == 2, 20)
    assert silent_or_wrong(a) == []

    # a server is killed: it is named, and the other one serves what is decided
    assert b.server
    os.kill(b.server.process.pid, signal.SIGKILL)
    a.done("rollback", "flights", "--to", second, "--by", "ann", "--reason", "they were right")
    _until(lambda: a.release() == second, SECONDS * busy())
    _until(lambda: [row["is_silent"] for row in silent_or_wrong(a)] == [True], 40)
    b.open.close()
    b.open = ExitStack()
    with b.open:
        b.serve()
        assert b.release() == second


def test_a_wrong_variable_is_refused_on_either_machine_with_both_named(world: World, tmp_path: Path) -> None:
    a, b = world.a, world.b
    b.done("status", "flights")
    stray = {"ML_ASSETS_LEDGER": new_database(str(world.database.folder), "other")}
    for command in (("run", "flights", "--partition", "2013-01-03"), ("serve", "flights", "--port", "0"), ("status", "flights")):
        refused = b.ml_assets(*command, **stray)
        assert refused.returncode == 1
        assert "belongs to the ledger" in refused.stderr
        assert all(name in refused.stderr for name in ("/other", "/ledger", "ML_ASSETS_LEDGER"))
        assert "Traceback" not in refused.stderr
    (tmp_path / "elsewhere").mkdir()
    refused = b.ml_assets("serve", "flights", "--port", "0", ML_ASSETS_STORE=(tmp_path / "elsewhere").as_uri())
    assert refused.returncode == 1
    assert all(text in refused.stderr for text in ("elsewhere", "ML_ASSETS_STORE", "is not the one"))
    shutil.rmtree(tmp_path / "elsewhere")
    assert a.ml_assets("verify").returncode == 0


def predicted_release(machine: Machine) -> str:
    return str(client.release(machine.url)["release"])


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    import urllib.request

    request = urllib.request.Request(f"{url}/rollback", data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as response:
        content: dict[str, Any] = json.loads(response.read())
    return content


def _until(holds: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _day(day: str) -> dict[str, bytes]:
    from tests.support.command_line import delivery

    return delivery(day)


def _asked(machine: Machine) -> list[str]:
    """The partitions that the sensor of a machine would have run."""
    space = machine.space
    product = load(space.settings.products[0] / "flights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_LEDGER", space.settings.ledger)  # a URL that may hold a password goes by its variable
        instance = dg.DagsterInstance.ephemeral()
        with dg.build_sensor_context(instance=instance, resources=resources_of(space.settings)) as context:
            result: Any = new_data.build(product)(context)
    return [str(request.partition_key) for request in getattr(result, "run_requests", None) or ()]
