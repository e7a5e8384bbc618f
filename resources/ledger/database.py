"""The database under the ledger: made and opened so that it only grows, and locked so that one writer appends at a time."""

import atexit
import os
import sqlite3
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, insert, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, ProgrammingError

from ml_assets.errors import MlAssetsError
from resources.ledger import tables as schema

BUSY_SECONDS = 60
ADVISORY_LOCK = 7236171
SCHEMA = 1
"""The version of the tables. A later one, which this code could write wrongly, is refused; added tables need no version."""
_AWAY = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""libpq's options, in seconds and milliseconds: when a connection whose other end went silent counts as lost."""
MOVED_TO = "moved_to"


class LedgerRefused(MlAssetsError):
    """The ledger's database cannot be opened."""


class LedgerMoved(LedgerRefused):
    """The ledger was moved to another database, where it goes on."""


def open_database(url: str) -> Engine:
    """An engine on the ledger's tables, which are made when they are not there: where nothing is missing, a role that may not
    make tables opens a PostgreSQL ledger too. Raises LedgerRefused."""
    connection = _connected(url)
    engine = connection.engine
    try:
        with connection, connection.begin():
            if engine.dialect.name == "sqlite" or not _is_made(connection):
                _make(connection)
            refuse_later(connection)
    except (ProgrammingError, LedgerRefused) as error:
        engine.dispose()
        if isinstance(error, LedgerRefused):
            raise
        reason = str(error.orig).strip().splitlines()[0]
        raise LedgerRefused(
            f"ML_ASSETS_LEDGER: {shown(url)}: its tables cannot be made or read: {reason}; run `ml-assets ledger grants ROLE` "
            f"with the role that owns them, and carry out what it prints"
        ) from None
    return engine


def _make(connection: Connection) -> None:
    lock(connection)
    schema.metadata.create_all(connection)
    schema.volatile.create_all(connection)
    if connection.dialect.name == "sqlite" or not is_guarded(connection):
        for statement in schema.append_only(connection.dialect.name):
            connection.execute(text(statement))
    if fact(connection, "schema") is None:
        connection.execute(insert(schema.ledger_facts).values(name="schema", value=str(SCHEMA)))


def _is_made(connection: Connection) -> bool:
    tables = {*schema.metadata.tables, *schema.volatile.tables}
    return tables <= set(inspect(connection).get_table_names()) and is_guarded(connection)


def refuse_later(connection: Connection) -> None:
    """Raise LedgerRefused where a later version made the tables, which this code could read and write wrongly: it may have done
    so while this process had them open."""
    version = fact(connection, "schema") or str(SCHEMA)
    if int(version) > SCHEMA:
        place = connection.engine.url.render_as_string(hide_password=True)
        raise LedgerRefused(
            f"the ledger {place} has tables of version {version}; this ml-assets writes version {SCHEMA}: update it here, "
            f"or use the version that the other machines run"
        )


def fact(connection: Connection, name: str) -> str | None:
    """A fact that the ledger's database states about itself, such as the version of its tables; None where it says nothing."""
    return connection.scalar(select(schema.ledger_facts.c.value).where(schema.ledger_facts.c.name == name))


def refuse_moved(connection: Connection) -> None:
    """Raise LedgerMoved where the ledger goes on in another database: an entry here would be in neither."""
    if place := fact(connection, MOVED_TO):
        raise LedgerMoved(f"this ledger was moved to {place}: set ML_ASSETS_LEDGER to that; here nothing is recorded any more")


def open_read_only(url: str) -> Engine:
    """An engine on a ledger that somebody else writes: nothing of it is made or locked. Raises LedgerRefused."""
    try:
        engine = _read_only_engine(url)
        with engine.connect() as connection:
            connection.execute(select(schema.entries.c.seq).limit(1))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise LedgerRefused(f"{shown(url)} is not a database that is known here: {error}") from None
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise LedgerRefused(f"the ledger {shown(url)} cannot be read: {reason}") from None
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
            f"ML_ASSETS_LEDGER: {shown(url)} is not a database that is known here: {error}; give "
            f"sqlite:////folder/ledger.db, or postgresql+psycopg://user@host/name with the extra `postgres` installed"
        ) from None
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise LedgerRefused(
            f"ML_ASSETS_LEDGER: {shown(url)} cannot be opened: {reason}; if the file is damaged, restore it from a copy"
        ) from None


def shown(url: str) -> str:
    """The URL without its password."""
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
        # what comes after the lock has to see what the writer before committed; a server that is away must not hold up what can
        # go on without it, and one that came back is not met with a connection of before
        options = _AWAY if make_url(url).get_backend_name() == "postgresql" else {}
        return create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True, connect_args=dict(options))
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    if engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    event.listen(engine, "connect", _on_sqlite_connect)
    _closed_at_exit().add(engine)
    return engine


@cache
def _closed_at_exit() -> "WeakSet[Engine]":
    """The engines whose connections are closed when the process ends: the last one folds SQLite's write-ahead log back, so that
    the file is the whole ledger."""
    engines: WeakSet[Engine] = WeakSet()

    def close() -> None:
        for engine in tuple(engines):
            engine.dispose()

    atexit.register(close)
    return engines


def _on_sqlite_connect(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _write_ahead(connection: Any) -> None:
    """SQLite doesn't wait here for a process that is making a new file, whatever the timeout: it refuses at once."""
    end = monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > end:
                raise
            sleep(0.01)
        else:
            return


def is_guarded(connection: Connection) -> bool:
    """Whether PostgreSQL's triggers are there, on every table and switched on."""
    query = (
        "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE t.tgname = c.relname || '_append_only' AND t.tgenabled = 'O'"
    )
    guarded: set[str] = set(connection.exec_driver_sql(query).scalars())
    return guarded >= {table.name for table in schema.metadata.sorted_tables}
