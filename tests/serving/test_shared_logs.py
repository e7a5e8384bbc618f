"""What several machines served is one log, by way of the store that they share."""

from dataclasses import replace
from pathlib import Path

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.services.replicas.shared_logs import find_prediction, served_log, shared_logs
from ml_assets.services.verify.home import verify
from ml_assets.serving.log.hour_files import compact, own_hours
from ml_assets.serving.log.reader import read
from resources.store.blobs import BlobDamaged
from tests.conftest import settings_of
from tests.support.logged import log, predicted


def machine(tmp_path: Path, name: str) -> Workspace:
    return Workspace(replace(settings_of(tmp_path / name), store=(tmp_path / "store").as_uri()))


def folder(space: Workspace) -> Path:
    return space.settings.predictions("flights")


def ship(space: Workspace) -> int:
    return sum(log.ship() for log in shared_logs(space.settings, space.snapshots, "flights"))


def ids(space: Workspace) -> list[str]:
    """The predictions that a machine reads."""
    return read(served_log(space.settings, space.snapshots, "flights"))["id"].to_list()


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
        record = find_prediction(c.settings, c.snapshots, predictions.ids)
        assert record
        assert record["release"] == "r1"
    assert find_prediction(c.settings, c.snapshots, predicted(9).ids) is None


def test_a_home_with_a_store_of_its_own_ships_and_fetches_nothing(tmp_path: Path) -> None:
    alone = Workspace(settings_of(tmp_path))
    log(folder(alone), predicted(1))
    assert shared_logs(alone.settings, alone.snapshots, "flights") == []
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
