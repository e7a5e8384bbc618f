"""With a remote store, what it lost comes back from verified copies: by the command that `ml-assets verify` names."""

import re
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Output
from ml_assets.services.verify.home import verify
from resources.lineage import Build
from resources.scratch_lineage import snapshots_above
from resources.settings import settings
from resources.store.remote_blobs import RemoteBlobs, open_blobs
from resources.store.remote_faults import STORED, RemotePlace, StoreAway, StoreRefused
from tests.support import command_line
from tests.support.http_store import HttpStore
from tests.support.records import damage, recipe
from tests.support.shared import link_parsed_projects

FILES = {"rows.txt": b"rows", "more.txt": b"more"}


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace whose store is fsspec's memory."""
    space = Workspace(settings({"ML_ASSETS_HOME": str(tmp_path), "ML_ASSETS_STORE": f"memory://{tmp_path.name}/store"}))
    yield space
    space.ledger.close()
    fsspec.filesystem("memory").store.clear()


def remote(space: Workspace) -> RemoteBlobs:
    blobs = space.snapshots.blobs
    assert isinstance(blobs, RemoteBlobs)
    return blobs


def make(space: Workspace) -> Build:
    return space.lineage.make(recipe("raw"), lambda: Output(FILES), run="r")


def lose(space: Workspace, digest: str) -> None:
    remote(space).filesystem.rm_file(remote(space).locate(digest))


def damaged(space: Workspace) -> list[str]:
    return [finding.where for finding in verify(space.settings).discrepancies if not finding.is_note]


@pytest.mark.parametrize("which", range(3))
def test_a_lost_object_is_put_back_when_its_recipe_is_used_again(space: Workspace, which: int) -> None:
    manifest = make(space).manifest
    digests = [manifest.snapshot, *space.snapshots.open(manifest.snapshot).members.values()]
    lose(space, digests[which])
    assert damaged(space) == [f"store {digests[which]}"]
    assert make(space).reused
    assert damaged(space) == []


@pytest.mark.parametrize("which", range(3))
def test_what_is_neither_there_nor_here_is_built_again(space: Workspace, which: int) -> None:
    manifest = make(space).manifest
    digests = [manifest.snapshot, *space.snapshots.open(manifest.snapshot).members.values()]
    lose(space, digests[which])
    damage(remote(space).cache.locate(digests[which]))
    again = make(space)
    assert (again.reused, again.manifest) == (False, manifest)
    assert damaged(space) == []


def test_a_scratch_store_reads_copies_and_puts_nothing_back(space: Workspace, tmp_path: Path) -> None:
    manifest = make(space).manifest
    lose(space, manifest.snapshot)
    scratch = snapshots_above(space.snapshots, tmp_path / "scratch")
    assert scratch.is_intact(manifest.snapshot)
    assert damaged(space) == [f"store {manifest.snapshot}"]
    damage(remote(space).cache.locate(manifest.snapshot))
    assert not scratch.is_intact(manifest.snapshot)
    own = scratch.write(FILES | {"own.txt": b""})
    assert scratch.is_intact(own.digest)


@pytest.mark.long
def test_the_command_that_verify_names_repairs_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = command_line.days_in(tmp_path)
    link_parsed_projects(days.home)
    days.deliver("2013-01-01")
    for name, value in {**days.environ, "ML_ASSETS_STORE": f"memory://{tmp_path.name}/store"}.items():
        monkeypatch.setenv(name, value)
    invoke = CliRunner().invoke
    assert invoke(cli, ["run", "flights", "--partition", "2013-01-01"]).exit_code == 0
    space = Workspace(settings())
    for stage in ("raw", "dataset", "features"):
        manifest = space.lineage.current(days.flights, stage, "2013-01-01")
        lose(space, next(iter(space.snapshots.open(manifest.snapshot).members.values())))
    result = invoke(cli, ["verify"])
    assert result.exit_code == 1
    commands = set(re.findall(r"`ml-assets ([^`]+)`", result.output))
    assert commands == {"run flights --partition 2013-01-01"}
    assert invoke(cli, [part for command in commands for part in command.split()]).exit_code == 0
    assert invoke(cli, ["verify"]).exit_code == 0


def test_a_store_that_is_away_is_not_an_empty_one(tmp_path: Path) -> None:
    store = HttpStore(tmp_path / "served")
    store.start()
    blobs = open_blobs(store.url, cache=tmp_path / "cache")
    assert list(blobs.digests()) == [], "nothing is in it yet"
    digests = {blobs.put(content) for content in (b"one", b"two")}
    assert set(blobs.digests()) == digests
    store.stop()
    with pytest.raises(StoreAway, match=r"the store http://127.*its list was not listed.*Cannot connect to host"):
        list(blobs.digests())


def test_a_store_without_buckets_that_is_not_there_is_named_as_a_store() -> None:
    def write() -> None:
        raise FileNotFoundError("/srv/store/ab")

    place = RemotePlace("ML_ASSETS_STORE", "sftp", "/srv/store")
    with pytest.raises(
        StoreRefused, match=r"^there is no store /srv/store where its driver asks: create it, or correct ML_ASSETS_STORE$"
    ):
        place.ask(STORED, "/srv/store/ab", write)
