"""A snapshot is read whole and unchanged, or not at all."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.core.frames import parquet_bytes
from resources.store.blobs import BlobDamaged, LocalBlobs
from resources.store.remote_blobs import RemoteBlobs, open_blobs
from resources.store.snapshots import MemberRefused, Snapshots
from tests.support.records import damage

FRAME = pl.DataFrame({"trip": [1, 2], "line": ["A", None]})
FILES = {"rows.parquet": parquet_bytes(FRAME), "lookups/stops.parquet": b"stops", "about.json": b"{}"}


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots(LocalBlobs(tmp_path / "store"), tmp_path / "checkouts")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def blob(snapshots: Snapshots, digest: str, member: str) -> Path:
    return snapshots.blobs.path(snapshots.open(digest).members[member])


def test_a_snapshot_is_opened_and_read_by_its_digest(snapshots: Snapshots) -> None:
    written = snapshots.write(FILES)
    assert snapshots.open(written.digest) == written
    assert {name: snapshots.read(written.digest, name) for name in written.members} == FILES
    assert snapshots.frame(written.digest, "rows.parquet").equals(FRAME)


def test_equal_files_are_one_snapshot_and_other_names_or_bytes_another(snapshots: Snapshots) -> None:
    same = [FILES, dict(reversed(FILES.items()))]
    others = [{}, {"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b"1"}, FILES | {"about.json": b"[]"}]
    assert len({snapshots.write(files).digest for files in same}) == 1
    assert len({snapshots.write(files).digest for files in [*same, *others]}) == 1 + len(others)


def test_a_member_that_is_not_there_is_named_with_those_that_are(snapshots: Snapshots) -> None:
    digest = snapshots.write(FILES).digest
    with pytest.raises(BlobDamaged, match=r"no member 'gone'; it has about.json, lookups/stops.parquet, rows.parquet"):
        snapshots.read(digest, "gone")


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../../b", "a//b", "a/", "./a", "."])
def test_a_member_lies_inside_its_snapshot(snapshots: Snapshots, name: str) -> None:
    with pytest.raises(MemberRefused, match="a member name"):
        snapshots.write({name: b"", "good": b""})
    assert list(snapshots.blobs.digests()) == []


@pytest.mark.parametrize("content", [b"\xff", b"", b"[]", b"{}", b"3", b'"members"'])
def test_a_blob_of_another_kind_is_no_snapshot(snapshots: Snapshots, content: bytes) -> None:
    digest = snapshots.blobs.put(content)
    with pytest.raises(BlobDamaged, match="not a snapshot"):
        snapshots.open(digest)
    assert not snapshots.is_intact(digest)


@settings(max_examples=30)
@given(st.data())
def test_a_snapshot_with_any_byte_changed_is_not_intact(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("store")
    snapshots = Snapshots(LocalBlobs(folder), folder)
    digest = snapshots.write(FILES).digest
    assert snapshots.is_intact(digest)
    path = data.draw(st.sampled_from(sorted(p for p in folder.glob("??/*"))))
    damage(path, at=data.draw(st.integers(0, path.stat().st_size - 1)), by=data.draw(st.integers(1, 255)))
    assert not snapshots.is_intact(digest)
    snapshots.write(FILES)
    assert snapshots.is_intact(digest)


@pytest.mark.parametrize("member", [None, *FILES])
def test_a_snapshot_with_a_file_missing_is_not_intact(snapshots: Snapshots, member: str | None) -> None:
    digest = snapshots.write(FILES).digest
    (blob(snapshots, digest, member) if member else snapshots.blobs.path(digest)).unlink()
    assert not snapshots.is_intact(digest)


def test_a_snapshot_that_is_nowhere_is_not_intact(snapshots: Snapshots) -> None:
    assert not snapshots.is_intact("0" * 64)


def test_a_changed_member_is_not_read(snapshots: Snapshots) -> None:
    digest = snapshots.write(FILES).digest
    damage(blob(snapshots, digest, "rows.parquet"), at=8)
    with pytest.raises(BlobDamaged, match="was changed"):
        snapshots.frame(digest, "rows.parquet")
    assert snapshots.read(digest, "about.json") == b"{}"


def test_a_checkout_holds_the_members_and_is_made_once(snapshots: Snapshots) -> None:
    digest = snapshots.write(FILES).digest
    folder = snapshots.checkout(digest)
    assert contents(folder) == FILES
    writes = folder.stat().st_ino
    assert snapshots.checkout(digest) == folder
    assert folder.stat().st_ino == writes
    assert [p.name for p in snapshots.checkouts.iterdir()] == [digest]


def test_a_snapshot_without_members_is_an_empty_folder(snapshots: Snapshots) -> None:
    assert contents(snapshots.checkout(snapshots.write({}).digest)) == {}


@pytest.mark.parametrize(
    "harm",
    [
        lambda f: (f / "about.json").unlink(),
        lambda f: damage(f / "lookups/stops.parquet", at=2),
        lambda f: (f / "stray").touch(),
        lambda f: (f / "about.json").rename(f / "lookups" / "about.json"),
        lambda f: (f / "about.json").symlink_to((f / "about.json").rename(f.parents[1] / "about.json")),
        shutil.rmtree,
    ],
)
def test_a_damaged_checkout_is_replaced(snapshots: Snapshots, harm: Callable[[Path], None]) -> None:
    digest = snapshots.write(FILES).digest
    harm(snapshots.checkout(digest))
    folder = snapshots.checkout(digest)
    assert contents(folder) == FILES
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert [p.name for p in snapshots.checkouts.iterdir()] == [digest]


def test_a_snapshot_that_is_damaged_is_not_checked_out(snapshots: Snapshots) -> None:
    digest = snapshots.write(FILES).digest
    damage(blob(snapshots, digest, "rows.parquet"))
    with pytest.raises(BlobDamaged):
        snapshots.checkout(digest)
    assert list(snapshots.checkouts.iterdir()) == []


@pytest.mark.parametrize("call", ["copyfile", "rename"])
def test_a_checkout_that_another_process_made_meanwhile_is_kept(
    snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    digest = snapshots.write(FILES).digest
    owner: Any = shutil if call == "copyfile" else Path
    original = getattr(owner, call)
    writes: list[int] = []

    def overtaken(*args: Any) -> Any:
        monkeypatch.setattr(owner, call, original)
        writes.append(snapshots.checkout(digest).stat().st_ino)
        return original(*args)

    monkeypatch.setattr(owner, call, overtaken)
    folder = snapshots.checkout(digest)
    assert [folder.stat().st_ino] == writes
    assert contents(folder) == FILES
    assert [p.name for p in snapshots.checkouts.iterdir()] == [digest]


def test_several_may_check_out_at_once(snapshots: Snapshots) -> None:
    digests = [snapshots.write(FILES | {"about.json": str(i).encode()}).digest for i in range(5)]
    barrier = Barrier(4)

    def checkout(_: int) -> list[Path]:
        digests_ = []
        for digest in digests:
            barrier.wait()
            digests_.append(snapshots.checkout(digest))
        return digests_

    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(checkout, range(4)))
    assert [contents(folder) for folder in folders[0]] == [FILES | {"about.json": str(i).encode()} for i in range(5)]
    assert all(digests == folders[0] for digests in folders)


def test_a_snapshot_travels_through_a_remote_store(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}"
    here, there = (Snapshots(open_blobs(url, cache=tmp_path / n), tmp_path / f"{n}-out") for n in ("here", "there"))
    digest = here.write(FILES).digest
    assert there.is_intact(digest)
    assert contents(there.checkout(digest)) == FILES


@pytest.mark.parametrize("member", [None, *FILES])
def test_a_remote_store_gets_back_what_it_lost(tmp_path: Path, member: str | None) -> None:
    url = f"memory://{tmp_path.name}"
    here, there = (Snapshots(open_blobs(url, cache=tmp_path / n), tmp_path / f"{n}-out") for n in ("here", "there"))
    snapshot = here.write(FILES)
    blobs = here.blobs
    assert isinstance(blobs, RemoteBlobs)
    lost = snapshot.members[member] if member else snapshot.digest
    blobs.filesystem.rm_file(blobs.locate(lost))
    blobs.doubt(lost)
    assert not there.is_intact(snapshot.digest)
    assert here.is_intact(snapshot.digest)
    assert contents(there.checkout(snapshot.digest)) == FILES


def test_a_snapshot_that_lacks_a_member_is_not_put_back(tmp_path: Path) -> None:
    here = Snapshots(open_blobs(f"memory://{tmp_path.name}", cache=tmp_path / "here"), tmp_path / "out")
    snapshot, blobs = here.write(FILES), here.blobs
    assert isinstance(blobs, RemoteBlobs)
    blobs.filesystem.rm(blobs.root, recursive=True)
    blobs.doubt(snapshot.digest)
    blobs.cache.locate(snapshot.members["rows.parquet"]).unlink()
    assert not here.is_intact(snapshot.digest)
    assert snapshot.digest not in blobs.digests()
