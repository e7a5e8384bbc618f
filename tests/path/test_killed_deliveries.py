"""A delivery whose run is killed is brought through by the daemon, which takes the dead run off the product's way."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import select

from ml_assets.core.lineage.attempts import AttemptRecord
from resources.dagster_instance import open_instance
from resources.ledger import attempts
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger
from tests.support import command_line
from tests.support.command_line import Days
from tests.support.deployment import daemon
from tests.support.shared import link_parsed_projects

DAY = "2013-01-01"
pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture
def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Days]:
    """Flights by day under the real daemon."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    folder_days = command_line.days_in(tmp_path)
    folder_days.edit("landing: {settle: 0}", "landing: {settle: 0}\nretries: {most: 3, wait: 1}")
    link_parsed_projects(folder_days.home)
    with open_instance(folder_days.open().settings):
        environ = {**folder_days.environ, "DAGSTER_HOME": str(folder_days.home / "dagster")}
        with daemon(environ, tmp_path / "daemon.log"):
            yield folder_days


def until(condition: Callable[[], bool], *, within: float, what: str) -> None:
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {within:g} s"
        time.sleep(0.5)


def newest(ledger: Ledger) -> AttemptRecord | None:
    attempt = attempts.newest(ledger, "flights", [DAY]).get(DAY)
    return attempt.record if attempt else None


def kill_holder(ledger: Ledger, run: str) -> None:
    """SIGKILL the process that holds a run's lease."""
    with ledger.engine.connect() as connection:
        holder = connection.scalar(select(schema.leases.c.holder).where(schema.leases.c.run == run))
    os.kill(int(str(holder).rpartition(":")[2]), signal.SIGKILL)


def test_a_delivery_whose_worker_is_killed_is_current_after_the_next_attempt(days: Days) -> None:
    ledger = days.open().ledger
    days.deliver(DAY)
    until(lambda: newest(ledger) is not None, within=120, what="the first attempt")
    first = newest(ledger)
    assert first is not None
    kill_holder(ledger, first.run)
    killed = time.monotonic()
    until(lambda: (now := newest(ledger)) is not None and now.number == 2, within=120, what="the second attempt")
    waited = time.monotonic() - killed
    until(lambda: (now := newest(ledger)) is not None and now.end == "current", within=180, what="its end")
    last = newest(ledger)
    assert last is not None
    assert (last.number, last.outcome) == (2, "no candidate")
    with open_instance(days.open().settings) as instance:
        runs = {run.run_id: run for run in instance.get_runs()}
        assert runs[first.run].status == dg.DagsterRunStatus.FAILURE
        assert runs[first.run].tags["ml-assets/outcome"] == "broken"
        assert runs[last.run].tags["ml-assets/outcome"] == "no candidate"
    assert waited < 110, f"the next attempt began {waited:.0f} s after the kill"
    ledger.close()
