"""The memory of `ml-assets verify --new`: the entry up to which the ledger was verified, and the files of the store that were
read then.

It lies among the caches of the home. Lost, damaged or of another ledger it costs a whole check, and no more.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ml_assets.errors import MlAssetsError
from ml_assets.services.verify.seen_files import SeenFiles
from resources.ledger.chain import GENESIS, Rule
from resources.settings import Settings

FORMAT = 1
"""Another number where `verify` looks at more than before: what was verified then was not verified for that."""
SECONDS_TO_WAIT = 2
NOTHING = "nothing was remembered of an earlier check"


class VerifyBusy(MlAssetsError):
    """Another `ml-assets verify --new` of the home is running."""


class VerifiedUpTo(msgspec.Struct, frozen=True):
    """The newest verified entry and the rule of its hash, the identity of its ledger, the rows that each table held up to it, and
    the place of the store."""

    seq: int = 0
    hash: str = GENESIS
    rule: Rule | None = None
    ledger: str = ""
    rows: Mapping[str, int] = {}
    store: str = ""
    format: int = FORMAT


BEGINNING = VerifiedUpTo()


@dataclass
class Memory:
    """What is remembered, inside of a transaction: without `keep` all stays as it was. `why_whole`: why nothing of it counts."""

    database: sqlite3.Connection
    point: VerifiedUpTo = BEGINNING
    why_whole: str = ""
    files: SeenFiles = field(init=False)

    def __post_init__(self) -> None:
        """Read it."""
        self.database.execute("CREATE TABLE IF NOT EXISTS point (value TEXT NOT NULL)")
        self.files = SeenFiles(self.database)
        row = self.database.execute("SELECT value FROM point").fetchone()
        self.point = _point(row[0]) if row else BEGINNING
        if not self.point.seq:
            self.distrust(NOTHING)

    def distrust(self, why: str) -> None:
        """Begin from nothing."""
        self.point, self.why_whole = BEGINNING, why
        self.files.clear()

    def keep(self, point: VerifiedUpTo) -> None:
        """Remember that all up to here was as it was written."""
        self.database.execute("DELETE FROM point")
        self.database.execute("INSERT INTO point VALUES (?)", [msgspec.json.encode(point).decode()])
        self.database.execute("COMMIT")


def _point(text: Any) -> VerifiedUpTo:
    """The remembered point; the beginning where this code does not read it."""
    try:
        point = msgspec.convert(json.loads(text), VerifiedUpTo)
    except (ValueError, TypeError):
        return BEGINNING
    return point if point.format == FORMAT else BEGINNING


@contextmanager
def remembered(settings: Settings) -> Iterator[Memory]:
    """The memory of a home, which nobody else uses meanwhile. Raises VerifyBusy."""
    path = _path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    database = _opened(path)
    try:
        yield Memory(database)
    finally:
        database.close()


def forget(settings: Settings) -> None:
    """Let the next `--new` check everything: a whole check found damage, which may be in what is remembered as verified."""
    _path(settings).unlink(missing_ok=True)


def _path(settings: Settings) -> Path:
    return settings.cache / "verified.db"


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return _locked(path)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        raise VerifyBusy(f"another `ml-assets verify --new` uses {path}; run this again when it has ended") from None
    except sqlite3.DatabaseError:
        path.unlink()
        return _locked(path)


def _locked(path: Path) -> sqlite3.Connection:
    """The database, locked. Raises sqlite3.DatabaseError where it is damaged."""
    database = sqlite3.connect(path, timeout=SECONDS_TO_WAIT, isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        if (answer := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(answer)
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database
