"""Records that are asked for again and again are read once, and never those of another ledger."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import event

from ml_assets.core.lineage.triggers import TriggerRecord
from resources.ledger.followed_records import records_of
from resources.ledger.ledger import Ledger


def asked(product: str, key: str) -> TriggerRecord:
    return TriggerRecord(product=product, partition="2013-01", kind="schedule", key=key, why="cron", run="r")


def keys(ledger: Ledger, product: str = "trains") -> list[str]:
    return [record.body.key for record in records_of(ledger, "trigger", TriggerRecord, product)]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for product, key in (("trains", "1"), ("ferries", "2"), ("trains", "3")):
        ledger.append("trigger", asked(product, key))
    return ledger


def test_records_are_those_of_the_product_oldest_first_and_new_ones_follow(ledger: Ledger) -> None:
    assert (keys(ledger), keys(ledger, "ferries"), keys(ledger, "shop")) == (["1", "3"], ["2"], [])
    ledger.append("refusal", {"by": "ann"})
    ledger.append("trigger", asked("trains", "4"))
    assert (keys(Ledger(ledger.url)), keys(ledger)) == (["1", "3", "4"], ["1", "3", "4"])
    ledger.close()


def test_what_was_read_before_is_not_read_again(ledger: Ledger) -> None:
    keys(ledger)
    asked_after: list[object] = []

    def note(connection: object, cursor: object, statement: str, parameters: object, context: object, many: bool) -> None:
        asked_after.append(parameters)

    event.listen(ledger.engine, "before_cursor_execute", note)
    assert keys(ledger) == ["1", "3"]
    event.remove(ledger.engine, "before_cursor_execute", note)
    assert asked_after == [(3,), ("trigger", 3)], "whether entry 3 is there; then what follows"
    ledger.close()


def test_a_callers_list_is_its_own(ledger: Ledger) -> None:
    records_of(ledger, "trigger", TriggerRecord, "trains").clear()
    assert keys(ledger) == ["1", "3"]
    ledger.close()


def test_an_older_copy_or_another_ledger_in_its_place_is_read_from_its_beginning(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger.close()
    shutil.copy(path, tmp_path / "older.db")
    ledger.append("trigger", asked("trains", "4"))
    assert keys(ledger) == ["1", "3", "4"]
    ledger.close()
    for leftover in tmp_path.glob("ledger.db*"):
        leftover.unlink()
    shutil.copy(tmp_path / "older.db", path)
    restored = Ledger(ledger.url)
    assert keys(restored) == ["1", "3"]
    restored.append("trigger", asked("trains", "5"))
    assert keys(restored) == ["1", "3", "5"]
    restored.close()
