"""The SQLite file under the ledger: SQLite's own checks and the schema, on a copy. Opening the file itself would write.

Bytes that no query's result depends on are not judged: space in pages that no row takes, the content of free pages, and fields of
the file's header such as the counters of changes (docs/lineage.md lists them). `VACUUM` writes all of these again.
"""

import shutil
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection

from ml_assets.errors import MlAssetsError
from ml_assets.services.verify.discrepancies import Discrepancies

OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master"
RESTORE = "restore the ledger from a copy"
SECONDS_TO_WAIT = 20


class LedgerBusy(MlAssetsError):
    """The ledger was written all the time while it was to be copied."""


LATER = {"attempts": "attempt", "leases": "", "replicas": "", "served_files": "", "ledger_facts": ""}
"""Tables that older code did not make, each with the kind of the entries that it is made from; most say something about now, and
are in no entry."""


def copy_database(path: Path, folder: Path) -> Path:
    """Copy a database and its write-ahead log as they are at one moment, without opening them: that would write."""
    target = folder / "ledger.db"
    copies = {path: target, Path(f"{path}-wal"): Path(f"{target}-wal")}
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while time.monotonic() < deadline:
        before = [_version(source) for source in copies]
        for source, copy in copies.items():
            copy.unlink(missing_ok=True)
            with suppress(FileNotFoundError):  # the last writer removes the write-ahead log when it closes
                shutil.copyfile(source, copy)
        if [_version(source) for source in copies] == before:
            return target
        time.sleep(0.1)
    raise LedgerBusy(f"{path} was written for {SECONDS_TO_WAIT} s without a pause; run `ml-assets verify` again later")


def _version(path: Path) -> tuple[int, ...] | None:
    """Size, time and inode: another one after each write. None where there is no file."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def check_database(name: str, connection: Connection, expected: Connection, discrepancies: Discrepancies) -> bool:
    """Have SQLite check the file called `name`, and compare its schema with `expected`; whether every table can be read."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # a damaged file may be readable and refuse writers
    connection.exec_driver_sql("ROLLBACK")
    messages: list[str] = list(connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars())
    for message in messages:
        if message != "ok":
            discrepancies.add("changed", f"ledger {name}", f"SQLite finds: {message}", RESTORE)
    return check_schema(connection, expected, discrepancies)


def check_schema(connection: Connection, expected: Connection, discrepancies: Discrepancies) -> bool:
    """Tables, indexes and the triggers that refuse changes must be those that the code makes; older code made no LATER ones."""
    required, actual = ({tuple(row) for row in database.exec_driver_sql(OBJECTS)} for database in (expected, connection))
    unmade = _unmade(connection, {str(name) for kind, name, *_ in actual if kind == "table"})
    required = {row for row in required if row[2] not in unmade}
    for kind, name, *_ in sorted(required - actual, key=str):
        then = "the next command that writes to the ledger restores it" if kind == "trigger" else RESTORE
        discrepancies.add("missing", f"ledger {kind} {name}", "is not there as the code makes it", then)
    for kind, name, *_ in sorted(actual - required, key=str):
        discrepancies.add("added", f"ledger {kind} {name}", "is not one that the code makes", RESTORE)
    return {name for kind, name, *_ in required if kind == "table"} <= {name for kind, name, *_ in actual if kind == "table"}


def _unmade(connection: Connection, tables: set[str]) -> set[str]:
    """The LATER tables that are not there and that no entry asks for."""
    query = "SELECT count(*) FROM entries WHERE kind = ?"
    absent = LATER.keys() - tables if "entries" in tables else set()
    return {name for name in absent if not connection.exec_driver_sql(query, (LATER[name],)).scalar()}
