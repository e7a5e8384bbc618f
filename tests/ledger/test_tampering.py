"""The database refuses to change what is recorded, and a change made around it breaks the chain."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from resources.ledger import tables
from resources.ledger.ledger import GENESIS, Ledger
from tests.support.records import ATTEMPT, broken, manifest, pointing

TABLES = [table.name for table in tables.metadata.sorted_tables]


@pytest.fixture(scope="module")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of nine entries, with at least one row in every table."""
    path = tmp_path_factory.mktemp("filled") / "ledger.db"
    ledger = Ledger(f"sqlite:///{path}")
    fill(ledger)
    ledger.close()
    return path


@pytest.fixture
def filled(filled_once: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A copy of it."""
    own_ledger = Ledger(f"sqlite:///{shutil.copy(filled_once, tmp_path)}")
    yield own_ledger
    own_ledger.close()


def raw(ledger: Ledger) -> "closing[sqlite3.Connection]":
    """The database file itself, as any program could open it."""
    return closing(sqlite3.connect(str(ledger.engine.url.database), isolation_level=None))


def fill(ledger: Ledger) -> None:
    raws = manifest("raw", stage="raw")
    dataset = manifest("dataset", inputs=[raws.as_input()])
    for one in (raws, dataset):
        ledger.publish(one, run="r")
        ledger.add_evidence(subject=one.id, claim="complete", passed=True, details={"rows": 1}, run="r")
    ledger.move_pointer("promotion", pointing("a"), expected=None)
    ledger.move_pointer("rollback", pointing("b"), expected="a")
    ledger.append("attempt", ATTEMPT)
    ledger.append("look", {"product": "trains", "window": ["2013-01"], "comparison": "c", "gate": "g", "run": "r"})


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM {0}", "UPDATE {0} SET rowid = rowid", "UPDATE OR REPLACE {0} SET {1} = {1}", "DELETE FROM {0} WHERE 1"],
)
def test_the_database_itself_refuses_to_change_a_row(filled: Ledger, table: str, statement: str) -> None:
    column = tables.metadata.tables[table].columns.keys()[0]
    with raw(filled) as database:
        before = database.execute(f"SELECT * FROM {table}").fetchall()
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement.format(table, column))
        assert before
        assert database.execute(f"SELECT * FROM {table}").fetchall() == before


@pytest.mark.parametrize("table", [table for table in TABLES if table != "inputs"])
def test_the_database_itself_refuses_to_replace_a_row(filled: Ledger, table: str) -> None:
    columns = tables.metadata.tables[table].columns
    with raw(filled) as database:
        before = database.execute(f"SELECT * FROM {table}").fetchall()
        for unique in [c.name for c in columns if c.primary_key or c.unique]:
            # the same value in this column; in the others one that is not there yet
            values = [c.name if c.name == unique else "1000" if c.name == "seq" else "'forged'" for c in columns]
            query = f"INSERT OR REPLACE INTO {table} SELECT {', '.join(values)} FROM {table} LIMIT 1"
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(query)
        assert database.execute(f"SELECT * FROM {table}").fetchall() == before


FORGERIES = [
    ("body", "'{}'"),
    ("body", "replace(body, 'i', 'j')"),
    ("at", "'2013-01-01T00:00:00+00:00'"),
    ("kind", "'override'"),
    ("previous", f"'{GENESIS[:-1]}1'"),
    ("hash", f"'{GENESIS[:-1]}1'"),
    ("seq", "seq + 100"),
]


@pytest.mark.parametrize("seq", [1, 4, 9])
@pytest.mark.parametrize(("column", "value"), FORGERIES)
def test_a_changed_entry_breaks_the_chain(filled: Ledger, seq: int, column: str, value: str) -> None:
    assert (len(filled.entries()), broken(filled)) == (10, [])
    forge(filled, f"UPDATE entries SET {column} = {value} WHERE seq = {seq}")
    assert broken(filled) != []


@pytest.mark.parametrize(
    "forgery",
    [
        "DELETE FROM entries WHERE seq = 1",
        "DELETE FROM entries WHERE seq = 5",
        "UPDATE entries SET seq = CASE seq WHEN 3 THEN -4 ELSE -3 END WHERE seq IN (3, 4);"
        "UPDATE entries SET seq = -seq WHERE seq < 0",
        "DELETE FROM entries WHERE seq = 5; UPDATE entries SET seq = seq - 1 WHERE seq > 5",
        "INSERT INTO entries SELECT 11, at, kind, body, previous, hash || 'x' FROM entries WHERE seq = 10",
    ],
)
def test_removed_swapped_and_added_entries_break_the_chain(filled: Ledger, forgery: str) -> None:
    forge(filled, forgery)
    assert broken(filled) != []


def forge(ledger: Ledger, statements: str) -> None:
    with raw(ledger) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.executescript(statements)
