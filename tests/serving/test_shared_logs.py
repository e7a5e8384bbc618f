"""What several machines served is one log, by way of the store that they share."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.replicas.shared_logs import NotReported, find_prediction, served_log, shared_logs
from ml_assets.services.verify.home import verify
from ml_assets.serving.log.hour_files import compact, own_hours
from ml_assets.serving.log.reader import read
from resources.endpoints import replicas
from resources.ledger.tables import served_files
from resources.store.blobs import BlobDamaged
from tests.conftest import settings_of
from tests.support.logged import log, predicted


def machine(tmp_path: Path, name: str) -> Workspace:
    """A home of its own, with the store and the ledger of both."""
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    return Workspace(replace(settings_of(tmp_path / name), store=(tmp_path / "store").as_uri(), ledger=ledger))


def folder(space: Workspace) -> Path:
    return space.settings.predictions("flights")


def ship(space: Workspace) -> int:
    return sum(log.ship() for log in shared_logs(space.settings, space.snapshots, space.ledger, "flights"))


def ids(space: Workspace) -> list[str]:
    """The predictions that a machine reads."""
    return read(served_log(space.settings, space.lineage, "flights"))["id"].to_list()


def test_each_machine_reads_what_all_served_once_also_after_a_compaction(tmp_path: Path) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    served = [predicted(number) for number in range(6)]
    for number, predictions in enumerate(served):
        log(folder((a, b)[number % 2]), predictions)
    assert [ship(a), ship(a), ship(b)] == [1, 0, 1]
    for space in (a, b):
        assert sorted(ids(space)) == sorted(predictions.ids for predictions in served)
    for hour in own_hours(folder(a)):
        assert compact(hour)
    assert ship(a) == 1  # the compacted file is shipped again, and counts once
    for space in (a, b):
        assert len(ids(space)) == len(served)
    c = machine(tmp_path, "c")  # which never served
    for predictions in served:
        record = find_prediction(c.settings, c.lineage, predictions.ids)
        assert record
        assert record["release"] == "r1"
    assert find_prediction(c.settings, c.lineage, predicted(9).ids) is None


def test_a_home_with_a_store_of_its_own_ships_and_fetches_nothing(tmp_path: Path) -> None:
    alone = Workspace(settings_of(tmp_path))
    log(folder(alone), predicted(1))
    assert shared_logs(alone.settings, alone.snapshots, alone.ledger, "flights") == []
    assert not (tmp_path / "store").exists()


def test_logs_in_the_store_are_no_discrepancy_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    log(folder(a), predicted(1))
    ship(a)
    assert verify(a.settings).is_clean
    (shipped,) = (tmp_path / "store" / "served").rglob("*.parquet")
    shipped.write_bytes(shipped.read_bytes()[:-1])
    with pytest.raises(BlobDamaged, match="was changed in the store"):
        ids(b)


def test_files_that_an_earlier_version_shipped_without_telling_the_ledger_are_seen(tmp_path: Path) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    first, second = predicted(1), predicted(2)
    log(folder(a), first)
    ship(a)
    _forget(a)
    assert ids(b) == [first.ids], "a home that never looked lists the store"
    log(folder(a), second)
    ship(a)
    _forget(a)
    assert ids(b) == [first.ids], "the ledger was not told"
    assert ship(a) == 0
    assert sorted(ids(b)) == sorted([first.ids, second.ids]), "a server that begins tells it"


def test_a_ledger_at_another_place_is_not_taken_to_know_the_files(tmp_path: Path) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    log(folder(a), predicted(1))
    ship(a)
    assert len(ids(b)) == 1
    log(folder(a), predicted(2))
    ship(a)
    moved = Workspace(replace(b.settings, ledger=f"sqlite:///{tmp_path / 'moved.db'}"))
    assert len(ids(moved)) == 2


def test_a_file_that_was_deleted_from_the_store_stops_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    assert ids(b) == []
    old, new = predicted(1), predicted(2)
    log(folder(a), old)
    ship(a)
    (shipped,) = (tmp_path / "store" / "served").rglob("*.parquet")
    log(folder(a), new)
    ship(a)
    shipped.unlink()
    assert ids(b) == ids(b) == [new.ids]
    assert [record.message for record in caplog.records if shipped.name in record.message] != []
    assert sum("no longer in the store" in record.message for record in caplog.records) == 1


def test_where_the_ledger_cannot_be_asked_or_told_logs_are_read_and_shipped_once_and_reported_later(tmp_path: Path) -> None:
    a, b = machine(tmp_path, "a"), machine(tmp_path, "b")
    assert ids(b) == ids(b) == []
    (log_of_a, _) = shared_logs(a.settings, a.snapshots, a.ledger, "flights")
    assert log_of_a.ship() == 0
    served_files.drop(a.ledger.engine)
    answered = predicted(1)
    log(folder(a), answered)
    for _ in range(2):
        with pytest.raises(NotReported, match=r"predictions/flights.*no such table.*ml-assets ledger grants ROLE"):
            log_of_a.ship()
    assert len([*(tmp_path / "store" / "served").rglob("*.parquet")]) == 1
    assert ids(b) == [answered.ids], "by the store"
    served_files.create(a.ledger.engine)
    log_of_a.ship()
    (name,) = replicas.served_files(a.ledger.engine, "predictions/flights")
    assert (tmp_path / "store" / "served" / name).is_file()
    assert log_of_a.fetch() == 0, "a home has its own already"


def _forget(space: Workspace) -> None:
    with space.ledger.engine.begin() as connection:
        connection.execute(delete(served_files))
