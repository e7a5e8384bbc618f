"""Replicas: the servers of an endpoint, on whatever machine, as each last reported what it serves, and the files of its log that
it put into the store.

Kept next to the ledger, not in its chain: a report says something about now. A server that stops takes its report back; one that
was killed is silent, and forgotten after a while.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Float, cast, delete, extract, func, insert, literal, select, update

from resources.ledger import tables as schema

REPORT_SECONDS = 5.0
SILENT_SECONDS = 20.0
"""A server that reported nothing for so long is gone, or cut off: several times as long as it may be late."""
KEPT_SECONDS = 3600.0


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """A server process: where it runs and where it may be asked, what it serves since when (UTC, ISO 8601), next to which
    `candidate`, and what keeps it from following the ledger. `break_glass` is a rollback that the ledger does not hold yet."""

    product: str
    environment: str
    host: str
    process: int
    address: str
    worker: int = 1
    release: str | None = None
    bundle: str | None = None
    candidate: str | None = None
    since: str | None = None
    trouble: str | None = None
    break_glass: str | None = None

    @property
    def id(self) -> str:
        """Its place: a process that is started again at the same one replaces the report of the process before."""
        return f"{self.product} {self.environment} {self.host} {self.address} {self.worker}"


class Seen(msgspec.Struct, frozen=True):
    """A report, and for how many seconds none came after it."""

    replica: Replica
    silent_seconds: float

    @property
    def is_silent(self) -> bool:
        """Whether it should have reported again by now."""
        return self.silent_seconds > SILENT_SECONDS

    def sentence(self) -> str:
        """The release that it serves, in words."""
        replica = self.replica
        what = f"serves {replica.release}" if replica.release else "serves nothing"
        candidate = f", next to it {replica.candidate}" if replica.candidate else ""
        silence = f"; its last report is {self.silent_seconds:.0f} s old" if self.is_silent else ""
        trouble = f"; {replica.trouble}" if replica.trouble else ""
        return f"{replica.address} on {replica.host} (process {replica.process}) {what}{candidate}{silence}{trouble}"


def report(engine: Engine, replica: Replica) -> None:
    """Replace the report of a server; those of servers that are long gone are dropped."""
    columns, values = schema.replicas.c, msgspec.structs.asdict(replica)
    with engine.begin() as connection:
        now = _now(connection)
        where = columns.id == replica.id
        if connection.execute(update(schema.replicas).where(where).values(seen=now, **values)).rowcount == 0:
            connection.execute(delete(schema.replicas).where(columns.seen < now - KEPT_SECONDS))
            connection.execute(insert(schema.replicas).values(id=replica.id, seen=now, **values))


def leave(engine: Engine, replica: Replica) -> None:
    """Take the report of a server back: it stops."""
    with engine.begin() as connection:
        where = (schema.replicas.c.id == replica.id, schema.replicas.c.process == replica.process)
        connection.execute(delete(schema.replicas).where(*where))


def replicas(engine: Engine, product: str, environment: str = "production") -> list[Seen]:
    """The servers of an endpoint by their address, without those that are long gone."""
    columns = schema.replicas.c
    with engine.connect() as connection:
        now = _now(connection)
        silent = (now - columns.seen).label("silent")
        where = (columns.product == product, columns.environment == environment, columns.seen >= now - KEPT_SECONDS)
        rows = connection.execute(select(schema.replicas, silent).where(*where).order_by(columns.id)).mappings().all()
    return [Seen(_replica(row), max(0.0, float(row["silent"]))) for row in rows]


def note_served_files(engine: Engine, log: str, names: Iterable[str]) -> None:
    """Report files of a log (`predictions/flights`) by their names in the store; those that were reported before stay."""
    columns = schema.served_files.c
    with engine.begin() as connection:
        known: set[str] = set(connection.scalars(select(columns.name).where(columns.log == log)))
        if rows := [{"name": name, "log": log} for name in sorted({*names} - known)]:
            connection.execute(insert(schema.served_files), rows)


def served_files(engine: Engine, log: str) -> list[str]:
    """The names in the store of all files of a log that were reported, sorted."""
    columns = schema.served_files.c
    with engine.connect() as connection:
        return list(connection.scalars(select(columns.name).where(columns.log == log).order_by(columns.name)))


def _replica(row: Mapping[Any, Any]) -> Replica:
    return Replica(**{field: row[field] for field in Replica.__struct_fields__})


def _now(connection: Connection) -> ColumnElement[Any]:
    """The time by one clock for all machines: the database's, where it is on a server."""
    if connection.dialect.name == "sqlite":
        return literal(time.time())
    return cast(extract("epoch", func.clock_timestamp()), Float)
