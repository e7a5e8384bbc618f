"""The database under the ledger: made and opened so that it only grows, and locked so that one writer appends at a time."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

from resources import ledger_schema as schema

BUSY_SECONDS = 60
ADVISORY_LOCK = 7236171
SEVERAL_WRITERS = 1
"""SQLite's `user_version` of a file that more than one version of SQLite wrote."""


def sqlite_version() -> int:
    """The version of this process' SQLite as SQLite writes it into files, 3.40.1 as 3040001."""
    major, minor, patch = sqlite3.sqlite_version_info
    return major * 1_000_000 + minor * 1_000 + patch


def open_database(url: str) -> Engine:
    """An engine on the ledger's tables, which are made when they are not there."""
    engine = _engine(url)
    with engine.begin() as connection:
        lock(connection)
        if engine.dialect.name == "sqlite":
            _mark_writer(connection)
        schema.metadata.create_all(connection)
        if engine.dialect.name == "sqlite" or not is_guarded(connection):
            for statement in schema.append_only(engine.dialect.name):
                connection.execute(text(statement))
    return engine


def lock(connection: Connection) -> None:
    """Become the one writer until the transaction ends."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        # what comes after the lock has to see what the writer before committed
        return create_engine(url, isolation_level="READ COMMITTED")
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    if engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    event.listen(engine, "connect", _on_sqlite_connect)
    return engine


def _on_sqlite_connect(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _mark_writer(connection: Connection) -> None:
    """Keep in the file whether one version of SQLite wrote all of it: then every byte can be predicted."""
    is_new = connection.exec_driver_sql("PRAGMA schema_version").scalar() == 0
    marked = connection.exec_driver_sql("PRAGMA user_version").scalar()
    mark = sqlite_version() if is_new or marked == sqlite_version() else SEVERAL_WRITERS
    if mark != marked:
        connection.exec_driver_sql(f"PRAGMA user_version = {mark}")


def is_guarded(connection: Connection) -> bool:
    """Whether PostgreSQL's triggers are there, on every table and switched on."""
    query = (
        "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE t.tgname = c.relname || '_append_only' AND t.tgenabled = 'O'"
    )
    found: set[str] = set(connection.exec_driver_sql(query).scalars())
    return found >= {table.name for table in schema.metadata.sorted_tables}
