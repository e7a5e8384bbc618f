"""Verify the ledger by writing it again: its entries, one after another, into a new database with the code that appends.

The chain shows a changed entry; the new database shows every changed, missing or added row of the tables made from the
entries. For SQLite's file, see ml_assets.services.verify.ledger_file. Where a point is given, up to which the ledger was verified
before, only the entries and rows after it are read; see ml_assets.services.verify.resumed.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, func, inspect, make_url, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from ml_assets.core.gates.records import RestorationRecord
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.records import ManifestRecord
from ml_assets.core.release.records import MoveRecord, ShadowRecord
from ml_assets.services.verify.discrepancies import Discrepancies, Kind, Progress
from ml_assets.services.verify.erasures import ErasureCheck
from ml_assets.services.verify.ledger_file import check_database, check_schema, copy_database
from ml_assets.services.verify.memory import BEGINNING, VerifiedUpTo
from ml_assets.services.verify.resumed import (
    bring_along,
    erased_before,
    hash_of,
    moves_before,
    open_as_verified,
    require_same,
    served_before,
)
from resources.ledger import head_checkpoint
from resources.ledger import tables as schema
from resources.ledger.chain import Entry, Rule, rule_of
from resources.ledger.database import is_guarded, open_database
from resources.ledger.head_checkpoint import Head
from resources.ledger.ledger import write
from resources.ledger.records import EntryMalformed, Record, read

EVERY = 1000
CHUNK = 2000
RESTORE = "restore the ledger from a copy"


@dataclass
class LedgerCheck:
    """`folder` is scratch; `since`: up to where the ledger was verified before. The names in the entries are kept for the other
    checks: snapshots, the releases that should serve, and all that ever `served`: product, environment, since when, bundle."""

    url: str
    checkpoint: Path
    folder: Path
    discrepancies: Discrepancies
    tell: Progress
    since: VerifiedUpTo = BEGINNING
    named: dict[str, str] = field(default_factory=dict)
    moves: dict[tuple[str, str], Record[MoveRecord]] = field(default_factory=dict)
    shadows: dict[tuple[str, str], Record[ShadowRecord]] = field(default_factory=dict)
    served: set[tuple[str, str, str, str]] = field(default_factory=set)
    broken: set[int] = field(default_factory=set)
    rows: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def __post_init__(self) -> None:
        """Begin without an entry."""
        self.erasures = ErasureCheck(self.discrepancies)
        self.newest, self.identity = Head(self.since.seq, self.since.hash), self.since.ledger
        self.head: Head | None = None
        self.at_head: str | None = None

    def run(self) -> int:
        """Check everything; the number of entries. Raises NotAsVerified before it finds anything."""
        is_whole = self._read_head()  # before the ledger, which only grows meanwhile
        try:
            self._database()
        except (DBAPIError, UnicodeDecodeError) as error:  # a damaged name decodes no more
            message = f"cannot be read: {str(getattr(error, 'orig', error)).splitlines()[0]}"
            self.discrepancies.add("changed", "ledger", message, RESTORE)
        self._checkpoint(is_whole)
        return self.count

    @property
    def verified(self) -> VerifiedUpTo:
        """The point that was verified, where there are no discrepancies; the store is left open."""
        return VerifiedUpTo(*self.newest, rule=self.erasures.newest_rule, ledger=self.identity, rows=self.rows)

    def _database(self) -> None:
        url = make_url(self.url)
        path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        if self.since.seq:
            self._resumed(path)
            return
        if path is not None and not path.exists():
            self.discrepancies.note("missing", f"ledger {path.name}", "is not there: nothing was ever recorded")
            return
        source = create_engine(f"sqlite:///{copy_database(path, self.folder)}") if path else _read_only(self.url)
        again = open_database(f"sqlite:///{self.folder / 'again.db'}")
        try:
            with source.connect() as connection, again.connect() as target:
                if path is None:
                    self._postgres(connection)
                elif not check_database(path.name, connection, target, self.discrepancies):
                    return
                if inspect(connection).has_table("entries"):
                    self._again(connection, target)
        finally:
            source.dispose()
            again.dispose()

    def _resumed(self, path: Path | None) -> None:
        """Check what came after the point. The ledger itself is read, in one transaction: a copy would cost its size."""
        source, again = open_as_verified(self.url), open_database(f"sqlite:///{self.folder / 'again.db'}")
        try:
            with source.connect() as connection, again.connect() as target:
                if path is not None:
                    connection.exec_driver_sql("BEGIN")
                require_same(connection, self.since)
                if path is None:
                    self._postgres(connection)
                elif not check_schema(connection, target, self.discrepancies):
                    return
                self._before(connection)
                self._again(connection, target)
        finally:
            source.dispose()
            again.dispose()

    def _before(self, connection: Connection) -> None:
        """Take what the checks need of the entries up to the point."""
        last = self.since.seq
        for row in erased_before(connection, last):
            entry, rule = _read(row)
            if entry is not None:
                self.erasures.add(entry, rule)
        self.erasures.newest_rule = self.since.rule
        for row in moves_before(connection, last):
            entry, _ = _read(row)
            if entry is not None:
                self._keep(entry)
        self.served |= served_before(connection, last)
        if self.head is not None and self.head.seq <= last:
            self.at_head = hash_of(connection, self.head.seq)

    def _postgres(self, connection: Connection) -> None:
        if inspect(connection).has_table("entries") and not is_guarded(connection):
            message = "a trigger that refuses changes is missing or switched off"
            self.discrepancies.add("changed", "ledger", message, "the next command that writes to the ledger restores it")

    def _again(self, connection: Connection, target: Connection) -> None:
        """Write the ledger again and compare its tables."""
        target.exec_driver_sql("BEGIN")
        for entry in self._entries(connection):
            self._write(connection, target, entry)
        self.erasures.run()
        tables = inspect(connection).get_table_names()
        for table in schema.metadata.sorted_tables:
            if table.name in tables:
                self._compare(table, connection, target)
        target.exec_driver_sql("COMMIT")

    def _entries(self, connection: Connection) -> Iterator[Entry]:
        """The entries that are what was written, in order; the others are found."""
        previous, due = self.since.hash, self.since.seq + 1
        columns = schema.entries.c
        query = select(schema.entries).order_by(columns.seq)
        for row in connection.execute(query.where(columns.seq > self.since.seq) if self.since.seq else query):
            entry = self._entry(row, due, previous)
            if entry is not None:
                yield entry
            previous, due = row.hash, (row.seq if isinstance(row.seq, int) else due) + 1
            if due % EVERY == 0:
                self.tell(f"ledger: {due} entries")

    def _entry(self, row: Any, due: int, previous: str) -> Entry | None:
        where = f"ledger entry {row.seq}"
        if row.seq != due:
            self.discrepancies.add("missing", where, f"follows entry {due - 1}: what was between them is gone", RESTORE)
        elif row.previous != previous:
            self.discrepancies.add("changed", where, "does not follow from the entry before it", RESTORE)
        entry, rule = _read(row)
        if entry is None:
            self.discrepancies.add("changed", where, f"({row.kind}, {row.at}) does not hash to what is recorded for it", RESTORE)
            self.broken.add(row.seq)
            return None
        self.erasures.add(entry, rule)
        return entry

    def _write(self, source: Connection, target: Connection, entry: Entry) -> None:
        self._count(entry)
        try:
            self._keep(entry)
            if self.since.seq:
                bring_along(source, target, entry, last=self.since.seq)
            write(target, entry)
        except (EntryMalformed, KeyError, TypeError, IntegrityError):
            if not self.broken:  # else it may build on one of those
                message = f"({entry.kind}, {entry.at}) is not one that the ledger writes, though its hash is right"
                self.discrepancies.add("added", f"ledger entry {entry.seq}", message, RESTORE)
            self.broken.add(entry.seq)

    def _count(self, entry: Entry) -> None:
        self.count, self.newest = self.count + 1, Head(entry.seq, entry.hash)
        self.identity = self.identity or entry.hash
        if self.head is not None and entry.seq == self.head.seq:
            self.at_head = entry.hash

    def _keep(self, entry: Entry) -> None:
        if entry.kind == "manifest":
            manifest = Manifest.from_dict(read(entry, ManifestRecord).body.manifest)
            self.named.setdefault(manifest.snapshot, f"{manifest.asset} {manifest.partition}".strip())
        elif entry.kind == "restoration":
            lost = read(entry, RestorationRecord).body
            message = f"an older copy continues here: what came after entry {lost.kept} was lost, by {lost.by}: {lost.reason!r}"
            self.discrepancies.note("missing", f"ledger entry {entry.seq}", message)
        elif entry.kind in ("promotion", "staging", "rollback"):
            move = read(entry, MoveRecord)
            self.moves[move.body.product, move.body.environment] = move
            self.served.add((move.body.product, move.body.environment, move.at, move.body.bundle))
        elif entry.kind == "shadow":
            shadow = read(entry, ShadowRecord)
            self.shadows[shadow.body.product, shadow.body.environment] = shadow

    def _compare(self, table: Table, ours: Connection, again: Connection) -> None:
        """Find rows that the entries do not give, and those that they give and that are not there."""
        key, last = table.c.consumer if "consumer" in table.c else table.c.seq, self.since.seq
        ends = [connection.scalar(select(func.max(key))) for connection in (ours, again)]
        count = 0
        for first in range(last + 1 if last else 0, max([end for end in ends if isinstance(end, int)], default=0) + 1, CHUNK):
            query = select(table).where(key >= first, key < first + CHUNK)
            rows, due = (Counter(tuple(row) for row in c.execute(query)) for c in (ours, again))
            count += rows.total()
            for row in rows - due:
                self._row("added", table, row, "holds a row that no entry gives" if table is not schema.entries else "")
            for row in due - rows:
                self._row("missing", table, row, "lacks a row that an entry gives" if table is not schema.entries else "")
        expected = count + self.since.rows.get(table.name, 0)
        self.rows[table.name] = ours.scalar(select(func.count()).select_from(table)) or 0
        if self.rows[table.name] != expected:
            message = f"holds {self.rows[table.name]} rows; {expected} have a place"
            kind: Kind = "added" if self.rows[table.name] > expected else "missing"
            self.discrepancies.add(kind, f"ledger table {table.name}", message, RESTORE)

    def _row(self, kind: Any, table: Table, row: tuple[Any, ...], message: str) -> None:
        named = dict(zip(table.columns.keys(), row, strict=True))
        seq = named.get("seq", named.get("consumer"))
        if seq in self.broken:
            return  # found as an entry
        if message:
            message += f": {', '.join(f'{name} {str(value)[:20]}' for name, value in named.items())}"
        else:
            message = "is not written as the ledger writes"
        where = f"ledger entry {seq}" if table is schema.entries else f"ledger table {table.name}, entry {seq}"
        self.discrepancies.add(kind, where, message, RESTORE)

    def _read_head(self) -> bool:
        """Read what this home remembers to be the newest entry; whether that is as it was written."""
        try:
            self.head = head_checkpoint.read(self.checkpoint)
        except head_checkpoint.HeadCheckpointDamaged:
            return False
        return True

    def _checkpoint(self, is_whole: bool) -> None:
        """The ledger must still hold what this home remembers to be its newest entry."""
        where = f"head checkpoint {self.checkpoint.name}"
        if not is_whole:
            then = f"delete {self.checkpoint} when the ledger is clean"
            self.discrepancies.add("changed", where, "is not what was written", then)
        elif self.head is None:
            if self.newest.seq:
                self.discrepancies.note("missing", where, "is not there: an end cut off the ledger would not be seen")
        elif self.at_head != self.head.hash:
            self._gone(self.head, where)

    def _gone(self, head: Head, where: str) -> None:
        then = f"{RESTORE}; if there is no newer one, `ml-assets restore` records that this one continues"
        if self.at_head is None and head.seq > self.newest.seq:
            message = f"remembers entry {head.seq}; the ledger ends at {self.newest.seq}: its end was cut off"
            self.discrepancies.add("missing", where, message, then)
        else:
            self.discrepancies.add("changed", where, f"remembers another entry {head.seq} than the ledger holds", then)


def _read(row: Any) -> tuple[Entry | None, Rule | None]:
    """The entry that a row holds and the rule of its hash; no entry where it cannot be one that was written."""
    try:
        entry = Entry(row.seq, row.at, row.kind, json.loads(row.body), row.previous, row.hash)
        rule = rule_of(entry)
    except (TypeError, ValueError):
        return None, None
    return (entry, rule) if rule and isinstance(entry.body, dict) else (None, None)


def _read_only(url: str) -> Engine:
    return create_engine(url, isolation_level="REPEATABLE READ", execution_options={"postgresql_readonly": True})
