"""Dagster's events: the log as a run of this process writes it, and what a step that failed says."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.execution.plan.objects import StepFailureData
    from sqlalchemy import Connection, Engine

_OWN_ERROR = re.compile(r"^(?:ml_assets|resources|checks|sensors)(?:\.\w+)+: ")
"""The prefix that Dagster puts before the message of an error of this project."""


def failure_message(failure: "StepFailureData") -> str:
    """The message of the error that a step failed with; an error of this project says it all without the name of its class."""
    error = failure.error
    return _OWN_ERROR.sub("", (error.cause or error).message.strip()) if error else "the step failed"


@contextmanager
def written_lightly(instance: "DagsterInstance") -> Iterator[None]:
    """Write the events of runs on one connection for each file, without waiting for the disk, until the block ends. Only SQLite's
    event log is concerned.

    For each of a run's 250 events Dagster makes an engine, which compiles its statements again, and opens the file, waits for the
    disk at each commit and, as the file's last connection, folds the write-ahead log back and deletes it. Here the engine and
    its connection are kept, and `synchronous = NORMAL` leaves the waiting to checkpoints. A loss of power can then cost the
    last events, never the file (https://www.sqlite.org/pragma.html#pragma_synchronous); what a run has made and decided is in
    the ledger.
    """
    from dagster._core.storage.event_log import SqliteEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        yield
        return
    opened_by_dagster = storage._connect
    engines: dict[str, Engine] = {}
    with ExitStack() as kept:

        def connect(shard: str) -> "AbstractContextManager[Connection]":
            if shard not in storage._initialized_dbs:
                return opened_by_dagster(shard)  # creates the file's tables first
            if shard not in engines:
                engines[shard] = _engine(storage.conn_string_for_shard(shard))
                kept.callback(engines[shard].dispose)
            return _locked(storage._db_lock, engines[shard])

        storage._connect = connect  # type: ignore[method-assign,assignment]
        kept.callback(delattr, storage, "_connect")
        yield


@contextmanager
def _locked(lock: Any, engine: "Engine") -> "Iterator[Connection]":
    """A transaction, one at a time, as Dagster's own."""
    with lock, engine.begin() as connection:
        yield connection


def _engine(url: str) -> "Engine":
    """An engine that keeps its connection. SQLite's files are bound to no thread, as one transaction is open at a time."""
    from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import StaticPool

    arguments = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    engine = create_engine(url, poolclass=StaticPool, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def wait_for_no_disk(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine
