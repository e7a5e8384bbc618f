"""What is wrong with the machine: disk, ledger, daemon and sensors; told when it begins and when it is over."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.supervision import wellbeing
from ml_assets.services.supervision.watch import Watch
from ml_assets.services.supervision.wellbeing import silent, unwell
from resources.dagster_instance import open_instance
from resources.ledger.database import open_database
from resources.notify.channels import channels
from resources.settings import Settings
from tests.support.notices import notice
from tests.support.sinks import Hook, http_sink

NOW = datetime.now(UTC)


def test_a_machine_that_is_well_has_nothing_to_tell(workspace: Workspace) -> None:
    workspace.ledger.append("approval", {"version": 1})
    assert unwell(workspace.settings, NOW) == []


@pytest.mark.parametrize("severity", ["warning", "error"])
def test_a_disk_that_is_almost_full_is_told_with_what_is_free(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, severity: str
) -> None:
    monkeypatch.setitem(wellbeing.LEAST_FREE_BYTES, severity, 10**18)  # type: ignore[arg-type]
    [full] = [notice for notice in unwell(workspace.settings, NOW) if "disk" in notice.title]
    assert (full.event, full.severity, full.product) == ("unwell", severity, "")
    assert f"{workspace.settings.home}: " in full.why
    assert "GB are free" in full.why


def test_a_ledger_that_is_no_ledger_is_told(workspace: Workspace, home: Path) -> None:
    (home / "ledger.db").write_bytes(b"no database" * 1000)
    [notice] = unwell(workspace.settings, NOW)
    assert notice.title == "the ledger does not answer"
    assert notice.why == f"the ledger sqlite:///{home}/ledger.db cannot be read: file is not a database"


def test_an_older_copy_of_the_ledger_is_told(workspace: Workspace, home: Path) -> None:
    workspace.ledger.append("approval", {"version": 1})
    workspace.ledger.close()
    for file in home.glob("ledger.db*"):
        file.unlink()
    open_database(workspace.settings.ledger).dispose()
    [notice] = unwell(workspace.settings, NOW)
    assert notice.title == "the ledger is an older copy"
    assert "ml-assets restore" in notice.command


@pytest.fixture
def instance(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", "")  # put back at the end
    with open_instance(workspace.settings) as instance:
        yield instance


def beat(instance: dg.DagsterInstance, *, seconds_ago: float = 0) -> None:
    """A sign of life of every part of the daemon."""
    for kind in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - seconds_ago, kind, "one"))


def test_a_daemon_that_never_ran_is_not_silent(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    assert silent(workspace.settings, NOW) == []


def test_a_daemon_without_a_sign_of_life_is_silent(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    beat(instance, seconds_ago=wellbeing.HEARTBEAT_SECONDS + 60)
    [notice] = silent(workspace.settings, datetime.now(UTC))
    assert (notice.event, notice.title) == ("silent", "Dagster's daemon is silent")
    assert "no sign of life of" in notice.why
    assert "SENSOR" in notice.why
    beat(instance)
    assert silent(workspace.settings, datetime.now(UTC)) == []


def tick(instance: dg.DagsterInstance, state: InstigatorState, status: TickStatus, *, seconds_ago: float = 0) -> None:
    error = SerializableErrorInfo("KeyError: 'trips'\n", [], "KeyError") if status is TickStatus.FAILURE else None
    ids = (state.instigator_origin_id, state.name, InstigatorType.SENSOR)
    data = TickData(*ids, status, timestamp=time.time() - seconds_ago, selector_id=state.selector_id, error=error)
    instance.create_tick(data)


def sensor(instance: dg.DagsterInstance, status: InstigatorStatus) -> InstigatorState:
    repository = RemoteRepositoryOrigin(dg._core.remote_origin.RegisteredCodeLocationOrigin("ml_assets"), "repository")
    data = SensorInstigatorData()
    return instance.add_instigator_state(
        InstigatorState(RemoteInstigatorOrigin(repository, "trains_new_data"), InstigatorType.SENSOR, status, data)
    )


def test_a_sensor_that_fails_at_each_tick_is_silent_until_one_succeeds(
    workspace: Workspace, instance: dg.DagsterInstance
) -> None:
    beat(instance)
    state = sensor(instance, InstigatorStatus.DECLARED_IN_CODE)
    for seconds_ago in (30, 20):
        tick(instance, state, TickStatus.FAILURE, seconds_ago=seconds_ago)
    assert silent(workspace.settings, datetime.now(UTC)) == [], "two may pass"
    tick(instance, state, TickStatus.FAILURE, seconds_ago=10)
    [notice] = silent(workspace.settings, datetime.now(UTC))
    assert (notice.title, notice.why) == ("the sensor trains_new_data fails at each tick", "KeyError: 'trips'")
    tick(instance, state, TickStatus.SKIPPED)
    assert silent(workspace.settings, datetime.now(UTC)) == []


@pytest.mark.parametrize(("status", "seconds_ago"), [(InstigatorStatus.STOPPED, 10), (InstigatorStatus.RUNNING, 7200)])
def test_a_sensor_that_is_off_or_gone_is_not_silent(
    workspace: Workspace, instance: dg.DagsterInstance, status: InstigatorStatus, seconds_ago: float
) -> None:
    beat(instance)
    state = sensor(instance, status)
    for later in range(3):
        tick(instance, state, TickStatus.FAILURE, seconds_ago=seconds_ago - later)
    assert silent(workspace.settings, datetime.now(UTC)) == []


def test_storage_of_dagster_that_does_not_answer_is_told(workspace: Workspace, instance: dg.DagsterInstance) -> None:
    beat(instance)
    for file in (workspace.settings.dagster_home / "history").rglob("runs.db*"):
        file.write_bytes(b"no database" * 1000)
    [notice] = silent(workspace.settings, datetime.now(UTC))
    assert (notice.event, notice.title) == ("unwell", "Dagster's storage does not answer")


def watched(settings: Settings, address: str) -> tuple[Watch, list[str], list[str]]:
    """A watch by a webhook; what is wrong, by why, and what it told."""
    section = {"kind": "webhook", "url": address}
    (settings.home / "notify.yaml").write_text(yaml.safe_dump({"channels": [section]}))
    wrong: list[str] = []
    messages: list[str] = []
    return Watch(lambda _: [notice(why=why) for why in wrong], channels(settings, {}), messages.append), wrong, messages


def test_what_begins_is_sent_once_and_its_end_once(workspace: Workspace) -> None:
    hook = Hook()
    with http_sink(hook) as address:
        watch, wrong, messages = watched(workspace.settings, address)
        wrong.append("the disk is full")
        watch.step(NOW)
        watch.step(NOW + timedelta(minutes=1))
        assert len(hook.posted) == 1
        wrong.clear()
        watch.step(NOW + timedelta(minutes=2))
        watch.step(NOW + timedelta(minutes=3))
    assert ['"is_over": true' in body.decode() for _, _, body in hook.posted] == [False, True]
    assert messages == ["[error] trains 2013-02: run 1 broke; the disk is full", "[resolved] trains 2013-02: run 1 broke"]


@pytest.mark.long
def test_what_was_not_sent_is_sent_later_with_the_same_key(workspace: Workspace) -> None:
    hook = Hook(status=503)
    with http_sink(hook) as address:
        watch, wrong, messages = watched(workspace.settings, address)
        wrong.append("the disk is full")
        watch.step(NOW)
        hook.status = 200
        watch.step(NOW + timedelta(minutes=1))
        watch.step(NOW + timedelta(minutes=2))
    first, second = (headers["Idempotency-Key"] for _, headers, _ in hook.posted)
    assert first == second
    assert messages[-1] == "not sent: webhook: 127.0.0.1 answered 503 (ok); try again later"
