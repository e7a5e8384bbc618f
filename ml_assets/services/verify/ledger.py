"""Verify the ledger by writing it again: its entries, one after another, into a new database with the code that appends.

The chain shows a changed entry; the new database shows every changed, missing or added row of the tables made from the
entries. For SQLite's file, see ml_assets.services.verify.ledger_file.
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
from ml_assets.services.verify.discrepancies import Discrepancies, Progress
from ml_assets.services.verify.erasures import ErasureCheck
from ml_assets.services.verify.ledger_file import check_database, copy_database
from resources.ledger import head_checkpoint
from resources.ledger import tables as schema
from resources.ledger.chain import GENESIS, Entry, Rule, rule_of
from resources.ledger.database import is_guarded, open_database
from resources.ledger.head_checkpoint import Head
from resources.ledger.ledger import write
from resources.ledger.records import EntryMalformed, Record, read

EVERY = 1000
CHUNK = 2000
RESTORE = "restore the ledger from a copy"


@dataclass
class LedgerCheck:
    """`folder` is scratch. The names in the entries are kept for the other checks: snapshots, the releases that should serve,
    and all that ever `served`: product, environment, since when, bundle."""

    url: str
    checkpoint: Path
    folder: Path
    discrepancies: Discrepancies
    tell: Progress
    named: dict[str, str] = field(default_factory=dict)
    moves: dict[tuple[str, str], Record[MoveRecord]] = field(default_factory=dict)
    shadows: dict[tuple[str, str], Record[ShadowRecord]] = field(default_factory=dict)
    served: set[tuple[str, str, str, str]] = field(default_factory=set)
    heads: dict[int, str] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin without an entry."""
        self.erasures = ErasureCheck(self.discrepancies)

    def run(self) -> int:
        """Check everything; the number of entries."""
        try:
            self._database()
        except (DBAPIError, UnicodeDecodeError) as error:  # a damaged name decodes no more
            message = f"cannot be read: {str(getattr(error, 'orig', error)).splitlines()[0]}"
            self.discrepancies.add("changed", "ledger", message, RESTORE)
        self._checkpoint()
        return len(self.heads)

    def _database(self) -> None:
        url = make_url(self.url)
        path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
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

    def _postgres(self, connection: Connection) -> None:
        if inspect(connection).has_table("entries") and not is_guarded(connection):
            message = "a trigger that refuses changes is missing or switched off"
            self.discrepancies.add("changed", "ledger", message, "the next command that writes to the ledger restores it")

    def _again(self, connection: Connection, target: Connection) -> None:
        """Write the ledger again and compare its tables."""
        target.exec_driver_sql("BEGIN")
        for entry in self._entries(connection):
            self._write(target, entry)
        self.erasures.run()
        tables = inspect(connection).get_table_names()
        for table in schema.metadata.sorted_tables:
            if table.name in tables:
                self._compare(table, connection, target)
        target.exec_driver_sql("COMMIT")

    def _entries(self, connection: Connection) -> Iterator[Entry]:
        """The entries that are what was written, in order; the others are found."""
        previous, due = GENESIS, 1
        for row in connection.execute(select(schema.entries).order_by(schema.entries.c.seq)):
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

    def _write(self, target: Connection, entry: Entry) -> None:
        try:
            self._keep(entry)
            write(target, entry)
        except (EntryMalformed, KeyError, TypeError, IntegrityError):
            if not self.broken:  # else it may build on one of those
                message = f"({entry.kind}, {entry.at}) is not one that the ledger writes, though its hash is right"
                self.discrepancies.add("added", f"ledger entry {entry.seq}", message, RESTORE)
            self.broken.add(entry.seq)

    def _keep(self, entry: Entry) -> None:
        self.heads[entry.seq] = entry.hash
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
        key = table.c.consumer if "consumer" in table.c else table.c.seq
        ends = [connection.scalar(select(func.max(key))) for connection in (ours, again)]
        last = max([end for end in ends if isinstance(end, int)], default=0)
        count = 0
        for first in range(0, last + 1, CHUNK):
            query = select(table).where(key >= first, key < first + CHUNK)
            rows, due = (Counter(tuple(row) for row in c.execute(query)) for c in (ours, again))
            count += rows.total()
            for row in rows - due:
                self._row("added", table, row, "holds a row that no entry gives" if table is not schema.entries else "")
            for row in due - rows:
                self._row("missing", table, row, "lacks a row that an entry gives" if table is not schema.entries else "")
        if (all_rows := ours.scalar(select(func.count()).select_from(table))) != count:
            self.discrepancies.add("added", f"ledger table {table.name}", f"holds {all_rows} rows; {count} have a place", RESTORE)

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

    def _checkpoint(self) -> None:
        """The ledger must still hold what this home remembers to be its newest entry."""
        where = f"head checkpoint {self.checkpoint.name}"
        then = f"{RESTORE}; if there is no newer one, `ml-assets restore` records that this one continues"
        try:
            head = head_checkpoint.read(self.checkpoint)
        except head_checkpoint.HeadCheckpointDamaged:
            self.discrepancies.add(
                "changed", where, "is not what was written", f"delete {self.checkpoint} when the ledger is clean"
            )
            return
        if head is None:
            if self.heads:
                self.discrepancies.note("missing", where, "is not there: an end cut off the ledger would not be seen")
        elif (remembered := self.heads.get(head.seq)) != head.hash:
            self._gone(head, remembered, where, then)

    def _gone(self, head: Head, remembered: str | None, where: str, then: str) -> None:
        last = max(self.heads, default=0)
        if remembered is None and head.seq > last:
            message = f"remembers entry {head.seq}; the ledger ends at {last}: its end was cut off"
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
