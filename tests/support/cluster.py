"""Everything of two machines: a daemon on A, a worker on B, a server on each, and what they share on a third address."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command_line import Days
from tests.support.homes.small_home import MORE_DAYS, small_home
from tests.support.machine_pair import Pair
from tests.support.machines import Machine, two_machines
from tests.support.mlflow_server import MlflowServer, mlflow_server
from tests.support.networks import LOOPBACK, networks
from tests.support.object_store import CUT, S3, object_store
from tests.support.postgres import Postgres, postgres_server
from tests.support.redis import Redis, redis_server

AWAY_SECONDS = 8.0
"""How long what the machines share is away after it was killed."""


@dataclass
class Cluster(Pair):
    """The machines, and the servers that both use."""

    days: Days
    database: Postgres
    store: S3
    broker: Redis
    mlflow: MlflowServer

    def kill_database(self) -> None:
        """PostgreSQL ends with all its connections, and comes back."""
        self._away(self.database.kill, self.database.start)

    def kill_broker(self) -> None:
        """Redis ends, with all that it holds, and comes back empty."""
        self._away(self.broker.kill, self.broker.start)

    def kill_mlflow(self) -> None:
        self._away(self.mlflow.kill, self.mlflow.start)

    def cut_store(self) -> None:
        """Nothing is answered by the object store, and comes back with all that it holds."""

        def cut() -> None:
            self.store.fault = lambda method, path: CUT

        def answer() -> None:
            self.store.fault = None

        self._away(cut, answer)

    def unplug(self, machine: Machine) -> None:
        """The machine is without a network for a while, if it has one of its own."""
        if not machine.network.name:
            return
        with machine.network.unplugged():
            time.sleep(AWAY_SECONDS)

    def power_off(self, machine: Machine, part: str) -> None:
        """Every process of the machine is killed at once; then its part and its server start again."""
        machine.kill_everything()
        machine.up(part)
        machine.serve()

    def _away(self, kill: Callable[[], object], start: Callable[[], object]) -> None:
        kill()
        time.sleep(AWAY_SECONDS)
        start()


@contextmanager
def cluster(factory: pytest.TempPathFactory, folder: Path) -> Iterator[Cluster]:
    """The small home's machine and a new one; no part of them runs yet."""
    days = small_home(factory, folder / "a")
    days.edit(*MORE_DAYS)
    shutil.rmtree(days.home / "dagster")
    with ExitStack() as stack:
        opened = stack.enter_context
        here, *apart = opened(networks("a", "b"))
        database = opened(postgres_server(connections=100, address="" if here.address == LOOPBACK else here.address))
        store, broker = opened(object_store(here.address)), opened(redis_server(here.address))
        mlflow = opened(mlflow_server(folder / "mlflow", here.address))
        a, b = opened(two_machines(days, folder, database, store, apart))
        shared = {
            "ML_ASSETS_CELERY": broker.url,
            "ML_ASSETS_DAGSTER": database.new_database("dagster"),
            "ML_ASSETS_MLFLOW": mlflow.url,
        }
        for machine in (a, b):
            machine.environ.pop("DAGSTER_HOME", None)
            machine.environ |= shared
        yield Cluster(a, b, days, database, store, broker, mlflow)
