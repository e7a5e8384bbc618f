"""An object store over HTTP (moto's S3): few requests, passing faults tried again, and errors that say what to do."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Output
from ml_assets.errors import PassingFault
from ml_assets.services.verify.home import verify
from ml_assets.spec.product import Product
from resources.landing import open_landing
from resources.landing_digests import FileDigests, partitions
from resources.lineage import Build
from resources.passing_faults import passing_fault
from resources.settings import settings
from resources.store.blobs import LocalBlobs
from resources.store.remote_blobs import RemoteBlobs, open_blobs
from resources.store.remote_faults import StoreAway, StoreRefused
from tests.support.command_line import free_port
from tests.support.object_store import CUT, HALF, S3, object_store
from tests.support.records import recipe

pytestmark = pytest.mark.long
FILES = {f"part-{number}.txt": f"part {number}".encode() for number in range(6)}


@pytest.fixture(scope="module")
def served() -> Iterator[S3]:
    with object_store() as store:
        yield store


@pytest.fixture
def s3(served: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[S3]:
    """The store with a bucket of its own for the test, named like its folder."""
    from s3fs import S3FileSystem

    for name, value in served.environ.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    served.make_bucket(bucket(tmp_path))
    served.requests.clear()
    served.fault = None
    yield served
    served.fault = None
    S3FileSystem.clear_instance_cache()


def bucket(folder: Path) -> str:
    return folder.name.replace("_", "-").lower()[:60]


def space(folder: Path, *, home: str = "home") -> Workspace:
    environ = {"ML_ASSETS_HOME": str(folder / home), "ML_ASSETS_STORE": f"s3://{bucket(folder)}/store"}
    return Workspace(settings(environ))


def make(workspace: Workspace) -> Build:
    return workspace.lineage.make(recipe("raw"), lambda: Output(FILES), run="r")


def remote(workspace: Workspace) -> RemoteBlobs:
    blobs = workspace.snapshots.blobs
    assert isinstance(blobs, RemoteBlobs)
    return blobs


def test_a_snapshot_costs_one_put_for_each_file_and_its_reuse_nothing(s3: S3, tmp_path: Path) -> None:
    at = space(tmp_path)
    published = make(at)
    of_blobs = [method for method, path in s3.requests if not path.endswith("/store.id")]
    assert of_blobs == ["PUT"] * (len(FILES) + 1)
    s3.requests.clear()
    assert make(at).reused
    assert make(space(tmp_path)).manifest == published.manifest
    assert s3.counts() == {}


def test_files_of_a_snapshot_are_uploaded_at_the_same_time(s3: S3, tmp_path: Path) -> None:
    busy: list[int] = []

    def slow(method: str, path: str) -> None:
        busy.append(+1)
        time.sleep(0.3)
        busy.append(-1)

    s3.fault = slow
    make(space(tmp_path))
    under_way = [sum(busy[: at + 1]) for at in range(len(busy))]
    assert max(under_way) >= 4


def test_faults_that_pass_are_tried_again(s3: S3, tmp_path: Path) -> None:
    tries: Counter[str] = Counter()

    def twice(method: str, path: str) -> int | None:
        tries[path] += 1
        return {1: 503, 2: CUT}.get(tries[path])

    s3.fault = twice
    at = space(tmp_path)
    make(at)
    assert set(tries.values()) == {3}
    s3.fault = None
    assert verify(at.settings).is_clean


def test_a_store_that_is_away_is_named_with_bucket_key_and_command(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    with pytest.raises(StoreAway) as caught:
        make(space(tmp_path))
    assert time.monotonic() - started < 10
    message = str(caught.value)
    for part in (f"bucket '{bucket(tmp_path)}'", "store/", os.environ["AWS_ENDPOINT_URL_S3"], "4 tries", "`ml-assets verify`"):
        assert part in message
    assert "\n" not in message
    assert isinstance(caught.value, PassingFault)
    assert passing_fault(caught.value), "a run tries its step again"


def test_a_bucket_that_is_not_there_is_named_and_not_made(s3: S3, tmp_path: Path) -> None:
    for use in (lambda b: b.put(b"x"), lambda b: list(b.digests()), lambda b: b.path("0" * 64)):
        with pytest.raises(StoreRefused, match=r"there is no bucket 'missing' at http.*ML_ASSETS_STORE"):
            use(open_blobs("s3://missing/store", cache=tmp_path / "cache"))
    assert "missing" not in s3.direct("GET", "/").decode()


def test_a_store_that_refuses_says_which_keys_to_check(s3: S3, tmp_path: Path) -> None:
    s3.fault = lambda method, path: 403
    with pytest.raises(StoreRefused, match=r"must not be stored.*AWS_ACCESS_KEY_ID") as caught:
        make(space(tmp_path))
    assert not passing_fault(caught.value)
    assert len(s3.requests) <= len(FILES), "nothing is tried again"


def test_without_credentials_the_variables_are_named(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreRefused, match=r"no credentials.*set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"):
        make(space(tmp_path))


@pytest.mark.parametrize("harm", [CUT, HALF], ids=["some objects", "half an object"])
def test_a_partial_put_is_never_current(s3: S3, tmp_path: Path, harm: int) -> None:
    puts: list[str] = []

    def third(method: str, path: str) -> int | None:
        if method == "PUT" and path not in puts:
            puts.append(path)
        return harm if path in puts[2:] else None

    at = space(tmp_path)
    s3.fault = third
    with pytest.raises(StoreAway):
        make(at)
    assert at.ledger.current("flights", "raw", "2013-01") is None
    assert at.ledger.by_key(recipe("raw").key) is None
    s3.fault = None
    found = {one.kind for one in verify(at.settings).discrepancies if not one.is_note}
    assert found == (set() if harm == CUT else {"changed"}), "whole objects of it are a note, half of one is named"
    made = make(at)
    assert not made.reused
    assert verify(at.settings).is_clean
    elsewhere = space(tmp_path, home="elsewhere").snapshots
    assert {name: elsewhere.read(made.manifest.snapshot, name) for name in FILES} == FILES


@pytest.mark.parametrize("harm", ["lost", "cut", "changed"])
def test_what_verify_finds_is_repaired_by_running_again(s3: S3, tmp_path: Path, harm: str) -> None:
    at = space(tmp_path)
    manifest = make(at).manifest
    digest = at.snapshots.open(manifest.snapshot).members["part-3.txt"]
    path = f"/{remote(at).locate(digest)}"
    if harm == "lost":
        s3.direct("DELETE", path)
    else:
        s3.direct("PUT", path, b"par" if harm == "cut" else b"part X")
    (discrepancy,) = [one for one in verify(at.settings).discrepancies if not one.is_note]
    assert digest in discrepancy.where
    s3.requests.clear()
    assert make(at).reused
    assert s3.counts() == {"PUT": 1}
    assert verify(at.settings).is_clean


def test_a_loss_that_nobody_noticed_is_repaired_within_the_hour(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = space(tmp_path)
    manifest = make(at).manifest
    s3.direct("DELETE", f"/{remote(at).locate(manifest.snapshot)}")
    monkeypatch.setattr("resources.store.remote_blobs.TRUSTED_SECONDS", 0.0)
    assert make(at).reused
    assert verify(at.settings).is_clean


def test_another_machine_reads_what_it_needs_once(s3: S3, tmp_path: Path) -> None:
    manifest = make(space(tmp_path)).manifest
    there = space(tmp_path, home="there")
    s3.requests.clear()
    assert set(there.snapshots.paths(manifest.snapshot)) == set(FILES)
    assert s3.counts() == {"GET": len(FILES) + 1}
    s3.requests.clear()
    assert there.snapshots.is_intact(manifest.snapshot)
    assert s3.counts() == {}


def test_deliveries_at_a_url_are_read_as_files(s3: S3, tmp_path: Path, product: Product) -> None:
    url = f"s3://{bucket(tmp_path)}/landing"
    landing, elsewhere = open_landing(tmp_path / "here", url), open_landing(tmp_path / "there", url)
    assert landing.delivered(product) == []
    for table in product.delivery.tables:
        delivered = landing.put(product, table, "2013-01", b"a,b\n1,2\n")
        assert str(delivered).startswith(f"{url}/{product.name}/{table}/2013-01.")
    assert landing.delivered(product) == ["2013-01"]
    files = elsewhere.partition_files(product, "2013-01")
    assert {path.read_bytes() for path in files.values()} == {b"a,b\n1,2\n"}
    digests = partitions(elsewhere, product, FileDigests.read(tmp_path / "digests.json"))
    landing.put(product, next(iter(product.delivery.tables)), "2013-01", b"a,b\n1,3\n")
    later = open_landing(tmp_path / "there", url)
    assert partitions(later, product, FileDigests.read(tmp_path / "digests.json")) != digests
    for path in files.values():
        s3.direct("DELETE", f"/{bucket(tmp_path)}/landing/{path.relative_to(tmp_path / 'there').as_posix()}")
    assert open_landing(tmp_path / "there", url).delivered(product) == []


def test_a_look_at_deliveries_that_did_not_change_costs_one_request(s3: S3, tmp_path: Path, product: Product) -> None:
    url = f"s3://{bucket(tmp_path)}/landing"
    landing = open_landing(tmp_path / "here", url)
    for table in product.delivery.tables:
        landing.put(product, table, "2013-01", b"a,b\n1,2\n")
    landing.delivered(product)
    s3.requests.clear()
    later = open_landing(tmp_path / "here", url)
    later.delivered(product)
    assert later.listing(product).stray == {}
    assert s3.counts() == {"LIST": 1}


def test_a_name_that_leads_out_of_the_folder_is_left_alone(s3: S3, tmp_path: Path, product: Product) -> None:
    s3.direct("PUT", f"/{bucket(tmp_path)}/landing/{product.name}/%2e%2e/%2e%2e/outside.csv", b"x")
    open_landing(tmp_path / "deep" / "here", f"s3://{bucket(tmp_path)}/landing").delivered(product)
    assert not list(tmp_path.rglob("outside.csv"))


def test_a_driver_that_is_not_installed_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(StoreRefused, match=r"pip install 'ml-assets\[s3\]'"):
        open_blobs("s3://bucket/store", cache=tmp_path)
    assert isinstance(open_blobs(tmp_path.as_uri(), cache=tmp_path), LocalBlobs)
