"""Runs by workers: the daemon of one machine hands them through Redis to a worker on another one, and both machines serve what
comes out. PostgreSQL has the ledger and Dagster's storage, an object store the snapshots."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from ml_assets.services.verify.home import verify
from resources.dagster_instance import open_instance
from tests.support.browser import eventually
from tests.support.command_line import delivery, free_port
from tests.support.homes.small_home import small_home
from tests.support.machines import Machine, golden, predicted, two_machines
from tests.support.postgres import new_database, postgres_server
from tests.support.redis import redis

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
SECONDS = 300


class Machines:
    """A with the daemon, B with the worker, and a server on each."""

    def __init__(self, a: Machine, b: Machine, folder: Path) -> None:
        self.a, self.b, self.folder = a, b, folder
        self.parts: dict[str, subprocess.Popen[bytes]] = {}

    def up(self, machine: Machine, part: str) -> None:
        argv = [sys.executable, "-m", "ml_assets", "up", "--only", part, "--health-port", str(free_port())]
        with (self.folder / f"{part}.log").open("ab") as log:
            self.parts[part] = subprocess.Popen(argv, env=machine.environ, stdout=log, stderr=log, start_new_session=True)

    def log(self, part: str) -> str:
        return "\n".join(path.read_text()[-3000:] for path in self.folder.rglob(f"{part}.log"))

    def kill_worker(self) -> None:
        """SIGKILL to the worker, its runs and what looks after it, as when the machine loses power."""
        home = self.b.environ["ML_ASSETS_HOME"]
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_worker = "celery" in process.cmdline() or process.pid == self.parts["worker"].pid
                if is_worker and process.environ().get("ML_ASSETS_HOME") == home:
                    process.kill()
        self.parts["worker"].wait()

    def stop(self) -> None:
        for process in self.parts.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.parts.values():
            process.wait(timeout=120)

    def deliver(self, day: str) -> None:
        space = self.a.space
        for table, content in delivery(day).items():
            space.landing.put(product_of(self.a), table, day, content)
        space.ledger.close()

    def promoted(self) -> str:
        space = self.a.space
        move = space.ledger.moves("flights", "production")[-1]
        space.ledger.close()
        return str(move.body.as_of)

    def runs(self) -> list[Any]:
        with open_instance(self.a.space.settings) as instance:
            return list(instance.get_runs())


def product_of(machine: Machine) -> Any:
    from ml_assets.spec.product import load

    return load(machine.space.settings.products[0] / "flights")


@pytest.fixture
def machines(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    days = small_home(tmp_path_factory, tmp_path / "a")
    shutil.rmtree(days.home / "dagster")
    with (
        postgres_server(connections=100) as database,
        redis() as broker,
        two_machines(days, tmp_path, str(database.folder), getattr(request, "param", "folder")) as (a, b),
    ):
        shared = {"ML_ASSETS_CELERY": broker, "ML_ASSETS_DAGSTER": new_database(str(database.folder), "dagster")}
        for machine in (a, b):
            machine.environ.pop("DAGSTER_HOME", None)
            machine.environ |= shared
        running = Machines(a, b, tmp_path)
        try:
            yield running
        finally:
            running.stop()


@pytest.mark.parametrize("machines", ["s3"], indirect=True)
def test_a_delivery_seen_on_one_machine_is_run_by_the_worker_of_another_and_serves_on_both(machines: Machines) -> None:
    a, b = machines.a, machines.b
    a.serve()
    b.serve()
    machines.up(b, "worker")
    machines.up(a, "daemon")
    machines.deliver("2013-01-04")
    eventually(lambda: machines.promoted() == "2013-01-04", what=f"a promotion; {machines.log('worker')}", seconds=SECONDS)
    eventually(lambda: a.release() == b.release() and a.release().startswith("2013-01-04"), what="both to serve it", seconds=30)
    for machine in (a, b):
        assert predicted(machine, golden(machine, a.release())) == a.release()
    (run,) = machines.runs()
    assert DAGSTER_CELERY_TASK_ID_TAG in run.tags
    logged = [list((machine.space.settings.home / "dagster").rglob(run.run_id)) for machine in (a, b)]
    assert [bool(manifest) for manifest in logged] == [False, True], "what the run printed lies in the worker's home"

    # the worker dies in the middle of a run: another one does the work, once
    machines.deliver("2013-01-05")
    eventually(lambda: is_built(a, "raw", "2013-01-05"), what="a run under way", seconds=SECONDS)
    machines.kill_worker()
    machines.up(b, "worker")
    eventually(lambda: is_built(a, "evaluation", "2013-01-05"), what="the work done", seconds=SECONDS)
    eventually(lambda: not in_progress(machines), what="all runs to end", seconds=SECONDS)
    assert [run.status.value for run in machines.runs()] == ["SUCCESS", "FAILURE", "SUCCESS"], "newest first"
    assert [one for one in verify(a.space.settings).discrepancies if not one.is_note] == []


def in_progress(machines: Machines) -> bool:
    return any(run.status.value in ("STARTED", "STARTING") for run in machines.runs())


def is_built(machine: Machine, stage: str, day: str) -> bool:
    space = machine.space
    manifest = space.ledger.current("flights", stage, day)
    space.ledger.close()
    return manifest is not None


def test_a_run_that_no_worker_takes_is_launched_again_when_there_is_one(machines: Machines) -> None:
    machines.up(machines.a, "daemon")
    machines.deliver("2013-01-04")
    eventually(lambda: [run.status.value for run in machines.runs()][-1:] == ["FAILURE"], what="its end", seconds=SECONDS)
    machines.up(machines.b, "worker")
    eventually(lambda: machines.promoted() == "2013-01-04", what="a promotion", seconds=SECONDS)
