"""The SQLite file under the ledger, down to the bytes that carry no row. It is read from a copy: opening it would write."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine

from resources import sqlite_file
from resources.findings import Findings
from resources.ledger_database import SEVERAL_WRITERS, open_database, sqlite_version

OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid"
RESTORE = "restore the ledger from a copy"


@dataclass
class FileCheck:
    """`path` is the ledger; `folder` takes the copy."""

    path: Path
    folder: Path
    findings: Findings
    is_predictable: bool = False

    def copy(self) -> bool:
        """Copy the file and look at its write-ahead log; False when there is no ledger to look at."""
        if not self.path.exists():
            self.findings.note("missing", f"ledger {self.path.name}", "is not there: nothing was ever recorded")
            return False
        self.copied = sqlite_file.copy_database(self.path, self.folder)
        log = Path(f"{self.copied}-wal")
        wal = sqlite_file.read_wal(log.read_bytes()) if log.exists() else sqlite_file.Wal()
        where = f"ledger {self.path.name}-wal"
        if not wal.is_header_whole:
            self.findings.add("changed", where, "has a damaged header: what it holds is lost", RESTORE)
        for frame in wal.damaged:
            self.findings.add("changed", where, f"has a damaged frame {frame} before whole ones", RESTORE)
        for frame in wal.torn:
            self.findings.note("changed", where, f"ends in a frame ({frame}) that is not whole, as a crash leaves it")
        return True

    def open(self) -> Engine:
        """The copy, with what its log holds written into it."""
        return create_engine(f"sqlite:///{self.copied}")

    def check(self, connection: Connection) -> bool:
        """Have SQLite check its own structures, and the header and schema; whether rows can be asked for."""
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self._header()
        broken = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check(10)") if row[0] != "ok"]
        for told in broken:
            self.findings.add("changed", f"ledger {self.path.name}", f"SQLite finds: {told}", RESTORE)
        return self._schema(connection)

    def _header(self) -> None:
        found = sqlite_file.read_header(self.copied)
        where = f"ledger {self.path.name}"
        if found.changes != found.changes_at_last_write:
            self.findings.add("changed", where, "has a header whose two change counters differ", RESTORE)
        if found.user_version in (0, SEVERAL_WRITERS):
            told = "was written by several versions of SQLite: bytes that carry no row were not compared"
            self.findings.note("changed", where, told)
        elif found.user_version != found.last_writer:
            self.findings.add("changed", where, "has a header that names two versions of SQLite as its writer", RESTORE)
        elif found.user_version != sqlite_version():
            told = f"was written by another version of SQLite ({found.user_version}): bytes that carry no row were not compared"
            self.findings.note("changed", where, told)
        else:
            self.is_predictable = True

    def _schema(self, connection: Connection) -> bool:
        """Tables, indexes and the triggers that refuse changes must be those that the code makes."""
        expected = open_database(f"sqlite:///{self.folder / 'expected.db'}")
        with expected.connect() as other:
            due, found = ({tuple(row) for row in c.exec_driver_sql(OBJECTS)} for c in (other, connection))
        expected.dispose()
        for kind, name, *_ in sorted(due - found, key=str):
            then = "the next command that writes to the ledger makes it again" if kind == "trigger" else RESTORE
            self.findings.add("missing", f"ledger {kind} {name}", "is not there as the code makes it", then)
        for kind, name, *_ in sorted(found - due, key=str):
            self.findings.add("added", f"ledger {kind} {name}", "is none that the code makes", RESTORE)
        return {name for kind, name, *_ in due if kind == "table"} <= {name for kind, name, *_ in found if kind == "table"}

    def empty(self, path: Path) -> Engine:
        """A new file with the same schema, made in the same order: what is written into it takes the same places."""
        source = create_engine(f"sqlite:///{self.copied}")
        with source.connect() as connection:
            statements = [row.sql for row in connection.exec_driver_sql(OBJECTS) if row.sql]
            user_version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        source.dispose()
        target = create_engine(f"sqlite:///{path}")
        with target.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql(f"PRAGMA user_version={user_version}")
            for statement in ["PRAGMA synchronous=OFF", "BEGIN", *statements, "COMMIT"]:
                connection.exec_driver_sql(statement)
        return target

    def give_up(self, told: str) -> None:
        """Do not compare bytes that carry no row: SQLite would not lay them out so from the entries as they are now."""
        if self.is_predictable:
            self.findings.note("changed", f"ledger {self.path.name}", f"{told}: bytes that carry no row were not compared")
            self.is_predictable = False

    def compare(self, again: Path) -> None:
        """Find bytes that no row depends on, and that SQLite would not have written so."""
        if not self.is_predictable or not again.exists():
            return
        found, due = bytearray(self.copied.read_bytes()), bytearray(again.read_bytes())
        for counter in sqlite_file.COUNTERS:
            for content in (found, due):
                content[counter.start : counter.stop] = bytes(4)
        if found == due:
            return
        first = next((i for i, (a, b) in enumerate(zip(found, due, strict=False)) if a != b), min(len(found), len(due)))
        where = f"ledger {self.path.name}, byte {first}"
        self.findings.add("changed", where, "is not as the entries give it, though no row depends on it", RESTORE)
