"""The database under the ledger: made and opened so that it only grows, and locked so that one writer appends at a time."""

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from ml_assets.errors import MlAssetsError
from resources.ledger import tables as schema

BUSY_SECONDS = 60
ADVISORY_LOCK = 7236171


class LedgerRefused(MlAssetsError):
    """The ledger's database cannot be opened."""


def open_database(url: str) -> Engine:
    """An engine on the ledger's tables, which are made when they are not there. Raises LedgerRefused."""
    connection = _connected(url)
    engine = connection.engine
    with connection, connection.begin():
        lock(connection)
        schema.metadata.create_all(connection)
        schema.volatile.create_all(connection)
        if engine.dialect.name == "sqlite" or not is_guarded(connection):
            for statement in schema.append_only(engine.dialect.name):
                connection.execute(text(statement))
    return engine


def open_read_only(url: str) -> Engine:
    """An engine on a ledger that somebody else writes: nothing of it is made or locked. Raises LedgerRefused."""
    try:
        engine = _read_only_engine(url)
        with engine.connect() as connection:
            connection.execute(select(schema.entries.c.seq).limit(1))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise LedgerRefused(f"{_without_password(url)} is not a database that is known here: {error}") from None
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise LedgerRefused(f"the ledger {_without_password(url)} cannot be read: {reason}") from None
    return engine


def _read_only_engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, isolation_level="REPEATABLE READ")
    file = Path(make_url(url).database or "")
    if not file.is_file():
        raise LedgerRefused(f"there is no ledger {file}; name a home that holds one")
    # in a folder that cannot be written nobody writes, and SQLite could not make its lock next to the file
    options = "mode=ro" if os.access(file.parent, os.W_OK) else "mode=ro&immutable=1"
    address = f"{file.absolute().as_uri()}?{options}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)

    return create_engine("sqlite://", creator=connect, poolclass=QueuePool)


def _connected(url: str) -> Connection:
    try:
        return _engine(url).connect()
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise LedgerRefused(
            f"ML_ASSETS_LEDGER: {_without_password(url)} is not a database that is known here: {error}; give "
            f"sqlite:////folder/ledger.db, or postgresql+psycopg://user@host/name with the extra `postgres` installed"
        ) from None
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise LedgerRefused(
            f"ML_ASSETS_LEDGER: {_without_password(url)} cannot be opened: {reason}; "
            f"if the file is damaged, restore it from a copy"
        ) from None


def _without_password(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return f"{url.partition(':')[0]}:…"


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


def is_guarded(connection: Connection) -> bool:
    """Whether PostgreSQL's triggers are there, on every table and switched on."""
    query = (
        "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE t.tgname = c.relname || '_append_only' AND t.tgenabled = 'O'"
    )
    guarded: set[str] = set(connection.exec_driver_sql(query).scalars())
    return guarded >= {table.name for table in schema.metadata.sorted_tables}
