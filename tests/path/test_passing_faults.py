"""Store, ledger and registry fail for real, twice each, in the middle of a run: the step is tried again, and nothing is charged
or recorded twice."""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ml_assets.cli.shared.context import run_job, run_outcome
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.verify.home import verify
from resources import dagster_retries
from resources.ledger import database
from resources.settings import settings
from resources.store import remote_faults
from resources.tracking.mlflow_catalogue import Catalogue
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS, deliver, shop
from tests.support.http_store import HttpStore

FIRST, SECOND = DAYS[:2]
FAILS = 2


@dataclass
class Outages:
    """Begins each outage when its step starts, and ends it when the step has failed twice. Hears of a run's events."""

    by_step: Mapping[str, tuple[Callable[[], None], Callable[[], None]]]
    retries: Counter[str] = field(default_factory=Counter)

    def __call__(self, entry: Any) -> None:
        event = entry.dagster_event
        begin, end = self.by_step.get(event.step_key if event else "", (None, None))
        if begin is None or end is None:
            return
        if event.event_type_value == "STEP_START":
            begin()
        elif event.event_type_value == "STEP_UP_FOR_RETRY":
            self.retries[event.step_key] += 1
            if self.retries[event.step_key] == FAILS:
                end()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HttpStore]:
    http_store = HttpStore(tmp_path / "served")
    http_store.start()
    yield http_store
    http_store.stop()


def locked(file: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    """Lock a SQLite database against writers, and let it go."""
    connections: list[sqlite3.Connection] = []

    def lock() -> None:
        connections.append(sqlite3.connect(file, isolation_level=None))
        connections[0].execute("BEGIN IMMEDIATE")

    def unlock() -> None:
        connections[0].close()

    return lock, unlock


def run(home: Home, space: Workspace, day: str, outages: Outages | None = None) -> tuple[bool, str]:
    """Whether the run of a day succeeded, and what came of it."""
    with blank_pages():
        result = run_job(space, home.product, "path", tags={"dagster/partition": day}, listener=outages)
    came = run_outcome(space, result.run_id)
    return result.success, f"{came.kind}: {came.reason}"


@pytest.mark.long
def test_store_ledger_and_registry_may_fail_twice_each_and_the_look_is_charged_once(
    tmp_path: Path, store: HttpStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_retries, "FIRST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(remote_faults, "WAITS_SECONDS", (0.01,))
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    home = shop(tmp_path / "home")
    mlflow = tmp_path / "home" / "mlflow" / "mlflow.db"
    folders = {"ML_ASSETS_HOME": str(home.folder), "ML_ASSETS_PRODUCTS": str(home.declared.parent)}
    monkeypatch.setenv("ML_ASSETS_MLFLOW", f"sqlite:///{mlflow}?timeout=0.2")  # the run reads it: it might hold a password
    space = Workspace(settings({**os.environ, **folders, "ML_ASSETS_STORE": store.url}))
    deliver(home, FIRST, SECOND)
    assert run(home, space, FIRST)[0]
    Catalogue(space.settings.mlflow, space.settings.mlflow_artifacts).client()  # makes the database that is to be locked

    outages = Outages(
        {
            "shop__dataset": locked(space.settings.home / "ledger.db"),
            "shop__evaluation": (store.stop, store.start),
            "shop__tracking": locked(mlflow),
        }
    )
    success, came = run(home, space, SECOND, outages)
    assert success, came
    assert came.startswith("promoted")
    assert outages.retries == {"shop__dataset": FAILS, "shop__evaluation": FAILS, "shop__tracking": FAILS}
    kinds = Counter(entry.kind for entry in space.ledger.entries())
    assert (kinds["look"], kinds["verdict"]) == (1, 1), "neither is charged again"
    assert [finding for finding in verify(space.settings).discrepancies if not finding.is_note] == []
    space.ledger.close()


def test_a_store_that_stays_away_breaks_the_run_and_says_so(
    tmp_path: Path, store: HttpStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_retries, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(remote_faults, "WAITS_SECONDS", (0.01,))
    home = shop(tmp_path / "home")
    folders = {"ML_ASSETS_HOME": str(home.folder), "ML_ASSETS_PRODUCTS": str(home.declared.parent)}
    space = Workspace(settings({**folders, "ML_ASSETS_STORE": store.url}))
    deliver(home, FIRST)
    outages = Outages({"shop__raw": (store.stop, lambda: None)})
    success, came = run(home, space, FIRST, outages)
    assert not success
    assert came.startswith("broken: shop__raw: ")
    assert "Cannot connect to host 127.0.0.1" in came
    assert outages.retries == {"shop__raw": dagster_retries.MOST_RETRIES}
    space.ledger.close()
