"""Dagster's event log as a run of this process writes it."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterInstance


@contextmanager
def written_lightly(instance: "DagsterInstance") -> Iterator[None]:
    """Write the events of runs without waiting for the disk, until the block ends. Only SQLite's event log is concerned.

    Dagster opens a SQLite file for each of a run's 250 events, waits for the disk at each commit, and, as the file's last
    connection, folds the write-ahead log back and deletes it. Here a second connection keeps the log, and `synchronous =
    NORMAL` leaves the waiting to checkpoints. A loss of power can then cost the last events, never the file
    (https://www.sqlite.org/pragma.html#pragma_synchronous); what a run has made and decided is in the ledger.
    """
    from dagster._core.storage.event_log import SqliteEventLogStorage
    from sqlalchemy import Engine, event

    if not isinstance(instance.event_log_storage, SqliteEventLogStorage):
        yield
        return
    folder = Path(instance.event_log_storage.path_for_shard("index")).parent
    known: set[str] = set()
    with ExitStack() as kept:

        def connect(dialect: Any, _record: Any, arguments: list[str], parameters: dict[str, Any]) -> Any:
            """The connection, or nothing where SQLAlchemy is to connect by itself."""
            if dialect.name != "sqlite" or not arguments or Path(arguments[0]).parent != folder:
                return None
            connection = dialect.connect(*arguments, **parameters)
            connection.execute("PRAGMA synchronous = NORMAL")
            if not _has_log(connection) or arguments[0] in known:
                return connection
            known.add(arguments[0])
            keeper = kept.enter_context(closing(sqlite3.connect(arguments[0], check_same_thread=False)))
            keeper.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection

        event.listen(Engine, "do_connect", connect)
        kept.callback(event.remove, Engine, "do_connect", connect)
        yield


def _has_log(connection: sqlite3.Connection) -> bool:
    """Whether Dagster has switched the file to a write-ahead log: a new file has none."""
    return bool(connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal")
