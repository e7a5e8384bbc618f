"""A home belongs to one ledger and one store, and refuses others that a stray variable names."""

from dataclasses import replace
from pathlib import Path

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Manifest, Output
from resources.ledger import identity
from resources.ledger.database import LedgerRefused
from resources.ledger.following import identity_of
from resources.ledger.identity import AnotherLedger, AnotherStore, refuse_another_store
from resources.scratch_lineage import ledger_copy
from tests.conftest import settings_of
from tests.support.records import recipe


def used(home: Path) -> Workspace:
    """A home with a snapshot and the ledger that names it; it knows by now what it belongs to."""
    space = Workspace(settings_of(home))
    make(space, home.name)
    again = Workspace(space.settings)
    space.ledger.close()
    make(again, "second")
    return again


def make(space: Workspace, content: str) -> None:
    """Record a snapshot as a lineage does, without looking at the code of a stage."""
    assert space.ledger.belonging is not None
    refuse_another_store(space.ledger.belonging, space.ledger.engine, space.snapshots.blobs)
    digest = space.snapshots.write({"rows.txt": content.encode()}).digest
    space.ledger.publish(Manifest(recipe(content), digest, digest, {}), run="r")


def pointed(space: Workspace, **changes: str) -> Workspace:
    return Workspace(replace(space.settings, **changes))


def test_a_home_refuses_the_ledger_of_another_one_and_names_both(tmp_path: Path) -> None:
    own, other = used(tmp_path / "own"), used(tmp_path / "other")
    ids = [identity_of(space.ledger) for space in (own, other)]
    stray = pointed(own, ledger=other.settings.ledger)
    with pytest.raises(AnotherLedger) as refused:
        make(stray, "third")
    message = str(refused.value)
    assert all(id and id[:12] in message for id in ids)
    assert all(text in message for text in (own.settings.ledger, other.settings.ledger, "ML_ASSETS_LEDGER"))
    assert len(other.ledger.entries()) == 4


def test_a_home_refuses_an_empty_ledger_for_its_own(tmp_path: Path) -> None:
    own = used(tmp_path / "own")
    stray = pointed(own, ledger=f"sqlite:///{tmp_path / 'forgotten.db'}")
    with pytest.raises(AnotherLedger, match=r"forgotten\.db is empty"):
        make(stray, "third")


def test_a_copy_at_another_place_is_the_same_ledger(tmp_path: Path) -> None:
    own = used(tmp_path / "own")
    moved = pointed(own, ledger=f"sqlite:///{tmp_path / 'copy.db'}")
    copy = Workspace(replace(moved.settings, home=tmp_path / "elsewhere")).ledger
    ledger_copy(own.ledger, copy)
    assert identity_of(moved.ledger) == identity_of(own.ledger)
    make(moved, "third")
    known = identity.read(tmp_path / "own" / "belongs.json")
    assert known
    assert known.ledger_url == moved.settings.ledger


def test_a_store_that_holds_nothing_of_the_ledger_is_refused_before_anything_is_written_there(tmp_path: Path) -> None:
    own, other = used(tmp_path / "own"), used(tmp_path / "other")
    before = sorted((tmp_path / "other" / "store").rglob("*"))
    with pytest.raises(AnotherStore, match="is not the one") as refused:
        pointed(own, store=other.settings.store).lineage.make(recipe("third"), lambda: Output({"rows.txt": b"3"}), run="r")
    assert all(text in str(refused.value) for text in (own.settings.store, other.settings.store))
    assert sorted((tmp_path / "other" / "store").rglob("*")) == before


def test_a_new_home_with_the_right_ledger_and_a_wrong_store_is_refused(tmp_path: Path) -> None:
    own = used(tmp_path / "own")
    worker = Workspace(replace(settings_of(tmp_path / "worker"), ledger=own.settings.ledger))
    with pytest.raises(AnotherStore):
        make(worker, "third")
    joined = pointed(worker, store=own.settings.store)
    make(joined, "third")
    assert (tmp_path / "worker" / "belongs.json").is_file()


def test_a_store_that_moved_with_what_it_holds_is_taken_and_remembered(tmp_path: Path) -> None:
    own = used(tmp_path / "own")
    (tmp_path / "own" / "store").rename(tmp_path / "moved")
    make(pointed(own, store=(tmp_path / "moved").as_uri()), "third")
    known = identity.read(tmp_path / "own" / "belongs.json")
    assert known
    assert known.store == (tmp_path / "moved").as_uri()


def test_tables_of_a_later_version_are_refused(tmp_path: Path) -> None:
    own = used(tmp_path / "own")
    with own.ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ledger_facts SET value = '2' WHERE name = 'schema'")
    for space in (Workspace(own.settings), own):  # a process that starts, and one that had them open before
        with pytest.raises(LedgerRefused, match="has tables of version 2; this ml-assets writes version 1: update it"):
            space.ledger.append("refusal", {"reasons": ["once"]})
