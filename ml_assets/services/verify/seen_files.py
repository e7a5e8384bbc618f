"""The files of a store whose bytes hash to their names, in a SQLite database: a store may hold more of them than memory does."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

_COLUMNS = "digest TEXT PRIMARY KEY, stamp TEXT NOT NULL, is_named INTEGER NOT NULL"


class SeenFiles:
    """Each digest with the stamp of its file (size, times, inode; another one after each write), and whether a snapshot that the
    ledger names needs it. Works inside of the transaction of its database, and commits nothing."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Those that the database has from an earlier look."""
        self._database = database
        database.execute(f"CREATE TABLE IF NOT EXISTS files ({_COLUMNS}) WITHOUT ROWID")
        self._before = self._count()
        self._met = 0

    @property
    def is_first_look(self) -> bool:
        """Whether no earlier look saw a file."""
        return self._before == 0

    def is_unchanged(self, digest: str, stamp: str) -> bool:
        """Whether the file was read already as it is now."""
        row = self._database.execute("SELECT stamp FROM files WHERE digest = ?", [digest]).fetchone()
        self._met += row is not None
        return row is not None and bool(stamp) and row[0] == stamp

    def has(self, digest: str) -> bool:
        """Whether the store has the file, as its name says."""
        return self._database.execute("SELECT 1 FROM files WHERE digest = ?", [digest]).fetchone() is not None

    def add(self, digest: str, stamp: str) -> None:
        """Take a file whose bytes were read and are what the name says."""
        upsert = "INSERT INTO files VALUES (?, ?, 0) ON CONFLICT (digest) DO UPDATE SET stamp = excluded.stamp"
        self._database.execute(upsert, [digest, stamp])

    def drop(self, digest: str) -> None:
        """Take a file out that is not there, or is not what its name says."""
        self._database.execute("DELETE FROM files WHERE digest = ?", [digest])

    def name(self, digest: str) -> None:
        """Note that the ledger names the file, or a snapshot that it belongs to."""
        self._database.execute("UPDATE files SET is_named = 1 WHERE digest = ? AND is_named = 0", [digest])

    def unnamed(self) -> Iterator[str]:
        """The files that nothing in the ledger names, in order."""
        for row in self._database.execute("SELECT digest FROM files WHERE is_named = 0 ORDER BY digest"):
            yield row[0]

    def lost(self, is_there: Callable[[str], bool]) -> list[str]:
        """Take out those that an earlier look saw and that are not there now; the named ones of them. To be asked after each
        file that is there was looked at."""
        if self._met == self._before:
            return []
        rows = self._database.execute("SELECT digest, is_named FROM files ORDER BY digest")
        gone = [(digest, is_named) for digest, is_named in rows if not is_there(digest)]
        for digest, _ in gone:
            self.drop(digest)
        return [digest for digest, is_named in gone if is_named]

    def clear(self) -> None:
        """Take all of them out."""
        self._database.execute("DELETE FROM files")
        self._before = self._met = 0

    def _count(self) -> int:
        count: int = self._database.execute("SELECT count(*) FROM files").fetchone()[0]
        return count


def scratch_files(folder: Path) -> SeenFiles:
    """None yet, in a database that nobody keeps."""
    database = sqlite3.connect(folder / "seen.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("BEGIN")
    return SeenFiles(database)
