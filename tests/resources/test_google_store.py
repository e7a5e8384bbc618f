"""Snapshots in Google's storage (an emulator): what is written is read elsewhere, and errors name what to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Output
from ml_assets.services.verify.home import verify
from resources.settings import settings
from resources.store.remote_blobs import RemoteBlobs, open_blobs
from resources.store.remote_faults import StoreAway, StoreRefused
from tests.support.command_line import free_port
from tests.support.google_store import BUCKET, google_store
from tests.support.records import recipe

pytestmark = pytest.mark.long
FILES = {f"part-{number}.txt": f"part {number}".encode() for number in range(6)}


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from gcsfs import GCSFileSystem

    GCSFileSystem.clear_instance_cache()
    with google_store() as environ:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        yield
    GCSFileSystem.clear_instance_cache()


def space(folder: Path) -> Workspace:
    return Workspace(settings({"ML_ASSETS_HOME": str(folder), "ML_ASSETS_STORE": f"gs://{BUCKET}/store"}))


@pytest.mark.usefixtures("google")
def test_a_snapshot_is_read_on_another_machine_and_a_lost_object_is_found_and_uploaded_again(tmp_path: Path) -> None:
    at = space(tmp_path / "a")
    manifest = at.lineage.make(recipe("raw"), lambda: Output(FILES), run="r")
    elsewhere = open_blobs(f"gs://{BUCKET}/store", cache=tmp_path / "b")
    members = at.snapshots.open(manifest.manifest.snapshot).members
    assert {name: elsewhere.read(digest) for name, digest in members.items()} == FILES
    blobs = at.snapshots.blobs
    assert isinstance(blobs, RemoteBlobs)
    lost = members["part-3.txt"]
    blobs.filesystem.rm_file(blobs.locate(lost))
    assert any(lost in one.where for one in verify(at.settings).discrepancies)
    again = at.lineage.make(recipe("raw"), lambda: Output(FILES), run="r")
    assert again.reused
    assert lost in set(open_blobs(f"gs://{BUCKET}/store", cache=tmp_path / "c").digests())


@pytest.mark.usefixtures("google")
def test_a_bucket_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match=r"there is no bucket 'none' .*create it, or correct ML_ASSETS_STORE"):
        open_blobs("gs://none/store", cache=tmp_path).put(b"hello")


@pytest.mark.usefixtures("google")
def test_a_store_that_does_not_answer_is_named_with_the_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreAway, match=rf"bucket '{BUCKET}': store/.* was not stored .* in 4 tries"):
        open_blobs(f"gs://{BUCKET}/store", cache=tmp_path).put(b"hello")
