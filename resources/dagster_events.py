"""Dagster's events: the log as a run of this process writes it, and what a step that failed says."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.store.blobs import write_atomically

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.execution.plan.objects import StepFailureData
    from dagster._core.storage.event_log import SqliteEventLogStorage
    from dagster._core.storage.runs import SqliteRunStorage
    from sqlalchemy import Connection, Engine

_OWN_ERROR = re.compile(r"^(?:ml_assets|resources|checks|sensors)(?:\.\w+)+: ")
"""The prefix that Dagster puts before the message of an error of this project."""
_empty_file: list[bytes] = []
"""The file of a run as Dagster creates it, before its first event; none before this process created one."""


def failure_message(failure: "StepFailureData") -> str:
    """The message of the error that a step failed with; an error of this project says it all without the name of its class."""
    error = failure.error
    return _OWN_ERROR.sub("", (error.cause or error).message.strip()) if error else "the step failed"


@contextmanager
def written_lightly(instance: "DagsterInstance") -> Iterator[None]:
    """Write events of runs on kept connections, without waiting for the disk, until the block ends. Only SQLite's storage is
    concerned.

    For each of a run's 250 events Dagster makes an engine, which compiles its statements again, and opens the file, waits for the
    disk at each commit and, as the file's last connection, folds the write-ahead log back and deletes it; for each event of a
    check it asks over another one whether the file has a table. Here engines, connections and that answer are kept, and
    `synchronous = NORMAL` leaves the waiting to checkpoints. A loss of power can then cost the last events, never the file
    (https://www.sqlite.org/pragma.html#pragma_synchronous); what a run has made and decided is in the ledger.
    """
    from dagster._core.storage.event_log import SqliteEventLogStorage
    from dagster._core.storage.runs import SqliteRunStorage

    events, runs = instance.event_log_storage, instance.run_storage
    with ExitStack() as kept:
        if isinstance(events, SqliteEventLogStorage):
            kept.enter_context(_kept_events(events))
        if isinstance(runs, SqliteRunStorage):
            kept.enter_context(_kept_runs(runs))
        yield


@contextmanager
def _kept_events(storage: "SqliteEventLogStorage") -> Iterator[None]:
    connections: dict[str, Connection] = {}
    tables: set[str] = set()
    asked = storage.has_table
    with ExitStack() as kept:

        @contextmanager
        def connect(shard: str) -> "Iterator[Connection]":
            with storage._db_lock:
                if shard not in connections:
                    engine = _engine(storage.conn_string_for_shard(shard))
                    kept.callback(engine.dispose)
                    _create_file(storage, shard, engine)
                    connections[shard] = kept.enter_context(engine.connect())
                with connections[shard].begin():
                    yield connections[shard]

        def has_table(name: str) -> bool:
            if name not in tables and asked(name):
                tables.add(name)
            return name in tables

        kept.enter_context(_instead(storage, "_connect", connect))
        kept.enter_context(_instead(storage, "has_table", has_table))
        yield


@contextmanager
def _kept_runs(storage: "SqliteRunStorage") -> Iterator[None]:
    """The file of all runs: each thread has a connection of its own, as no lock is between them but SQLite's."""
    from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
    from sqlalchemy import create_engine

    engine = create_engine(storage._conn_string, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
    with ExitStack() as kept:
        kept.callback(engine.dispose)
        kept.enter_context(_instead(storage, "connect", engine.begin))
        yield


@contextmanager
def _instead(thing: object, name: str, function: Any) -> Iterator[None]:
    """Let one object have this function instead of its class's."""
    setattr(thing, name, function)
    try:
        yield
    finally:
        delattr(thing, name)


def _create_file(storage: "SqliteEventLogStorage", shard: str, engine: "Engine") -> None:
    """The file of a run, which Dagster takes 0.3 s to create: the second one of a process is a copy of the first, still empty."""
    if shard in storage._initialized_dbs:
        return
    path = Path(storage.path_for_shard(shard))
    if path.exists():
        storage._initdb(engine)
    elif _empty_file:
        write_atomically(path, _empty_file[0])
    else:
        storage._initdb(engine)
        with closing(sqlite3.connect(path)) as connection:
            _empty_file.append(connection.serialize())
    storage._initialized_dbs.add(shard)


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
