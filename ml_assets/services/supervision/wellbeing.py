"""Faults of the machine rather than of a product, as notices: disk, ledger, daemon, sensors.

Each is computed again from the present state; one that is no longer among them is over.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ml_assets.core.notices import Event, Notice, Severity, cause_id
from ml_assets.errors import MlAssetsError
from resources.dagster_instance import DagsterStorageAway, open_instance
from resources.ledger import head_checkpoint
from resources.ledger.database import open_read_only
from resources.settings import Settings, local_folder

if TYPE_CHECKING:
    from dagster import DagsterInstance

LEAST_FREE_BYTES: Mapping[Severity, int] = {"error": 500_000_000, "warning": 3_000_000_000}
"""Free space below which a disk is almost full, or soon; the worst first."""
HEARTBEAT_SECONDS = 300.0
"""A part of the daemon that shows no sign of life for so long is silent: it shows one each half minute, a long tick later."""
FAILED_TICKS = 3
"""A sensor whose newest ticks failed, this many in a row, no longer does its work."""
TICK_SECONDS = 3600.0
"""Ticks that are older say nothing about a sensor: it may be gone."""


def unwell(settings: Settings, now: datetime) -> list[Notice]:
    """Notices about the disks and the ledger of the settings."""
    folders = {settings.home, *filter(None, [local_folder(settings.store)])}
    return [*(notice for folder in sorted(folders) for notice in _disk(folder, now)), *_ledger(settings, now)]


def silent(settings: Settings, now: datetime) -> list[Notice]:
    """Notices about a daemon and sensors that show no sign of life; none if no daemon ever ran."""
    from dagster import DagsterError

    try:
        with open_instance(settings) as instance:
            return [*_daemon(instance, now), *_sensors(instance, now)] if instance.get_daemon_heartbeats() else []
    except (DagsterError, SQLAlchemyError, DagsterStorageAway) as error:
        title = "Dagster's storage does not answer"
        return [_notice("unwell", "error", now, "dagster", title=title, why=_reason(error), command="ml-assets up")]


def silent_daemons(instance: "DagsterInstance", earliest: float) -> list[str]:
    """The parts of the daemon without a sign of life since a time, in seconds since 1970."""
    beats = instance.get_daemon_heartbeats()
    kinds = sorted(instance.get_required_daemon_types())
    return [kind for kind in kinds if kind not in beats or beats[kind].timestamp < earliest]


def _disk(folder: Path, now: datetime) -> Iterator[Notice]:
    if not folder.exists():
        return
    free = shutil.disk_usage(folder).free
    severity = next((severity for severity, least in LEAST_FREE_BYTES.items() if free < least), None)
    if severity:
        why = f"{folder}: {free / 1e9:.1f} GB are free, and {LEAST_FREE_BYTES[severity] / 1e9:.1f} GB are the least"
        yield _notice(
            "unwell", severity, now, "disk", str(folder), title="the disk is almost full", why=why, command=f"df -h {folder}"
        )
    if not os.access(folder, os.W_OK):
        why = f"{folder}: this user may not write there, or it is mounted read-only"
        yield _notice(
            "unwell", "error", now, "access", str(folder), title="nothing can be written", why=why, command=f"ls -ld {folder}"
        )


def _ledger(settings: Settings, now: datetime) -> Iterator[Notice]:
    """Whether it answers, and holds the newest entry that this home remembers."""
    try:
        head = head_checkpoint.read(settings.ledger_head)
        engine = open_read_only(settings.ledger)  # looking must not wait for a writer, nor hold one up
        with engine.connect() as connection:
            is_held = head is None or head_checkpoint.holds(connection, head)
        engine.dispose()
    except (MlAssetsError, SQLAlchemyError, OSError) as error:
        title = "the ledger does not answer"
        yield _notice("unwell", "error", now, "ledger", title=title, why=_reason(error), command="ml-assets verify")
        return
    if not is_held:
        why = "it does not hold the newest entry that this home remembers: an older copy, or another ledger, is in its place"
        yield _notice(
            "unwell", "error", now, "copy", title="the ledger is an older copy", why=why, command="ml-assets restore --help"
        )


def _daemon(instance: "DagsterInstance", now: datetime) -> Iterator[Notice]:
    if kinds := silent_daemons(instance, now.timestamp() - HEARTBEAT_SECONDS):
        last = max(beat.timestamp for beat in instance.get_daemon_heartbeats().values())
        minutes = HEARTBEAT_SECONDS / 60
        why = f"no sign of life of {', '.join(kinds)} for {minutes:.0f} minutes; the last of any was at {_time(last)}"
        yield _notice("silent", "error", now, "daemon", title="Dagster's daemon is silent", why=why, command="ml-assets up")


def _sensors(instance: "DagsterInstance", now: datetime) -> Iterator[Notice]:
    from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

    for state in instance.all_instigator_state():
        if state.status is InstigatorStatus.STOPPED:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=FAILED_TICKS)
        is_recent = ticks and ticks[0].timestamp >= now.timestamp() - TICK_SECONDS
        if is_recent and len(ticks) == FAILED_TICKS and all(tick.status is TickStatus.FAILURE for tick in ticks):
            why = ticks[0].error.message.strip().splitlines()[-1] if ticks[0].error else "it says no reason"
            title = f"the sensor {state.name} fails at each tick"
            yield _notice("silent", "error", now, "sensor", state.name, title=title, why=why, command="ml-assets dev")


def _notice(event: Event, severity: Severity, now: datetime, *cause: str, title: str, why: str, command: str) -> Notice:
    """About the machine: it names no product, and no release serves."""
    return Notice(
        id=cause_id(event, "", severity, *cause),
        event=event,
        severity=severity,
        product="",
        partition="",
        title=title,
        why=why,
        serves="",
        command=command,
        link="",
        at=now.isoformat(timespec="seconds"),
    )


def _reason(error: Exception) -> str:
    """The database's message, without the statement."""
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="minutes")
