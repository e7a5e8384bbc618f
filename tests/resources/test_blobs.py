"""A blob is all there or not at all, and no changed byte goes unseen."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.core.digests import sha256
from resources.store import remote_faults
from resources.store.blobs import Above, BlobDamaged, Blobs, LocalBlobs, write_atomically
from resources.store.remote_blobs import RemoteBlobs, open_blobs
from resources.store.remote_faults import StoreAway
from tests.support.faults import BROKEN_DISK, FULL_DISK, disk_fails
from tests.support.records import damage, flip

CONTENT = bytes(range(256)) * 40
DIGEST = sha256(CONTENT)


@pytest.fixture
def local(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "store")


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RemoteBlobs]:
    """Blobs in fsspec's memory, seen from a machine that has read none of them."""
    blobs = open_blobs(f"memory://{tmp_path.name}/store", cache=tmp_path / "cache")
    assert isinstance(blobs, RemoteBlobs)
    yield blobs
    fsspec.filesystem("memory").store.clear()


@pytest.fixture(params=["local", "remote"])
def blobs(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_what_is_stored_is_read_under_its_digest(blobs: Blobs) -> None:
    assert blobs.put(CONTENT) == DIGEST
    assert blobs.path(DIGEST).read_bytes() == CONTENT
    assert blobs.put(b"") == sha256(b"")
    assert sorted(blobs.digests()) == sorted([DIGEST, sha256(b"")])


def test_nothing_is_stored_before_the_first_write(blobs: Blobs) -> None:
    assert list(blobs.digests()) == []
    with pytest.raises(BlobDamaged, match=rf"{DIGEST[:12]} is missing"):
        blobs.path(DIGEST)


def test_the_same_content_stored_twice_is_one_file(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.put(CONTENT) == blobs.put(CONTENT)
    assert list(blobs.digests()) == [DIGEST]
    assert files(tmp_path) == [DIGEST]


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=3000), st.data())
def test_a_changed_byte_anywhere_is_found(tmp_path_factory: pytest.TempPathFactory, content: bytes, data: Any) -> None:
    store = LocalBlobs(tmp_path_factory.mktemp("store"))
    digest = store.put(content)
    at, by = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    damage(store.locate(digest), at=at, by=by)
    with pytest.raises(BlobDamaged, match=digest[:12]):
        store.path(digest)
    assert store.put(content) == digest
    assert store.path(digest).read_bytes() == content


@pytest.mark.parametrize("wrong", [CONTENT[:-1], CONTENT + b"x", b""])
def test_a_shorter_or_longer_blob_is_found_and_healed_by_writing_again(local: LocalBlobs, wrong: bytes) -> None:
    local.put(CONTENT)
    local.locate(DIGEST).chmod(0o644)
    local.locate(DIGEST).write_bytes(wrong)
    with pytest.raises(BlobDamaged, match="was changed"):
        local.path(DIGEST)
    local.put(CONTENT)
    assert local.path(DIGEST).read_bytes() == CONTENT


def test_a_missing_blob_is_found(local: LocalBlobs) -> None:
    local.locate(local.put(CONTENT)).unlink()
    with pytest.raises(BlobDamaged, match="is missing"):
        local.path(DIGEST)


def test_a_blob_is_not_open_for_writing(local: LocalBlobs) -> None:
    assert local.locate(local.put(CONTENT)).stat().st_mode & 0o777 == 0o444


def test_a_blob_is_downloaded_once_and_then_read_from_the_cache(remote: RemoteBlobs, tmp_path: Path) -> None:
    remote.put(CONTENT)
    elsewhere = RemoteBlobs(remote.filesystem, remote.root, LocalBlobs(tmp_path / "elsewhere"))
    assert elsewhere.path(DIGEST).read_bytes() == CONTENT
    remote.filesystem.rm(remote.root, recursive=True)
    assert elsewhere.path(DIGEST) == elsewhere.cache.locate(DIGEST)


def test_a_damaged_copy_is_downloaded_again(remote: RemoteBlobs) -> None:
    remote.put(CONTENT)
    damage(remote.cache.locate(DIGEST))
    assert remote.path(DIGEST).read_bytes() == CONTENT


class Remembering(LocalFileSystem):
    """Answers from the listings that it remembers, as the drivers of object stores do."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.remembered: dict[str, Any] = {}

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        listed = super().ls(path, detail=True, **options)
        self.remembered.update({entry["name"]: entry for entry in listed})
        return listed if detail else [entry["name"] for entry in listed]

    def info(self, path: str, **options: Any) -> Any:
        return self.remembered.get(path) or super().info(path, **options)

    def invalidate_cache(self, path: str | None = None) -> None:
        self.remembered = {name: entry for name, entry in self.remembered.items() if not name.startswith(f"{path}/")}


def an_hour_later(remote: RemoteBlobs) -> None:
    """The time is over for which what this machine saw in the store is trusted."""
    for copy in remote.cache.root.glob("??/*"):
        os.utime(copy, (1, 1))


def lost(remote: RemoteBlobs) -> None:
    remote.filesystem.rm_file(remote.locate(DIGEST))
    an_hour_later(remote)


def cut(remote: RemoteBlobs) -> None:
    remote.filesystem.pipe_file(remote.locate(DIGEST), CONTENT[:-1])
    an_hour_later(remote)


def stored(remote: RemoteBlobs) -> bytes | None:
    path = remote.locate(DIGEST)
    content: bytes | None = remote.filesystem.cat_file(path) if remote.filesystem.exists(path) else None
    return content


def test_a_blob_that_is_there_is_kept_and_one_that_never_was_is_not(blobs: Blobs) -> None:
    assert not blobs.keep(DIGEST)
    blobs.put(CONTENT)
    assert blobs.keep(DIGEST)


@pytest.mark.parametrize("harm", [lost, cut])
def test_what_the_store_lost_is_put_back_from_a_verified_copy(remote: RemoteBlobs, harm: Callable[[RemoteBlobs], None]) -> None:
    remote.put(CONTENT)
    harm(remote)
    assert remote.keep(DIGEST)
    assert stored(remote) == CONTENT


@pytest.mark.parametrize("harm", [lost, cut])
def test_a_damaged_copy_is_never_uploaded(remote: RemoteBlobs, harm: Callable[[RemoteBlobs], None]) -> None:
    remote.put(CONTENT)
    harm(remote)
    before = remote.filesystem.find(remote.root), stored(remote)
    damage(remote.cache.locate(DIGEST))
    assert not remote.keep(DIGEST)
    assert (remote.filesystem.find(remote.root), stored(remote)) == before


def test_a_copy_that_is_cut_counts_for_nothing_against_a_whole_store(remote: RemoteBlobs) -> None:
    remote.put(CONTENT)
    copy = remote.cache.locate(DIGEST)
    copy.chmod(0o644)
    copy.write_bytes(CONTENT[:-1])
    assert remote.keep(DIGEST)
    assert list(remote.digests()) == [DIGEST]
    assert copy.read_bytes() == CONTENT


def test_a_copy_that_is_damaged_after_it_was_verified_is_not_uploaded(
    remote: RemoteBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.put(CONTENT)
    lost(remote)

    def damaged_now(blobs: RemoteBlobs, digest: str) -> None:
        damage(blobs.cache.locate(digest))

    monkeypatch.setattr(RemoteBlobs, "_size", damaged_now)
    assert not remote.keep(DIGEST)
    assert list(remote.digests()) == []


def test_what_this_machine_saw_within_the_hour_is_not_asked_for(remote: RemoteBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("the store was asked")

    remote.put(CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(RemoteBlobs, "_size", fail)
        patch.setattr(RemoteBlobs, "write", fail)
        assert remote.keep(DIGEST)
        an_hour_later(remote)
        with pytest.raises(AssertionError, match="was asked"):
            remote.keep(DIGEST)
    assert remote.keep(DIGEST), "asked once, it is trusted again"


def test_what_somebody_saw_changed_is_uploaded_again_whatever_its_size(remote: RemoteBlobs) -> None:
    remote.put(CONTENT)
    remote.filesystem.pipe_file(remote.locate(DIGEST), flip(CONTENT, at=3))
    assert remote.keep(DIGEST)
    remote.doubt(DIGEST)
    assert remote.keep(DIGEST)
    assert stored(remote) == CONTENT


def test_what_could_not_be_uploaded_leaves_no_copy_that_would_vouch_for_it(
    remote: RemoteBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("Connection refused")

    monkeypatch.setattr(remote_faults, "WAITS_SECONDS", ())
    with monkeypatch.context() as patch:
        patch.setattr(type(remote.filesystem), "pipe_file", away)
        with pytest.raises(StoreAway, match=r"was not stored .*Connection refused.*`ml-assets verify`"):
            remote.put(CONTENT)
    assert files(remote.cache.root) == []
    assert not remote.keep(DIGEST)


def test_a_listing_is_remembered_with_what_was_stored_since(remote: RemoteBlobs, tmp_path: Path) -> None:
    assert remote.remembered() == []
    remote.put(CONTENT)
    other = RemoteBlobs(remote.filesystem, remote.root, LocalBlobs(tmp_path / "elsewhere"))
    unseen = other.put(b"unseen")
    assert remote.remembered() == [DIGEST], "what another machine stored since may be missing"
    assert remote.listed() == sorted([DIGEST, unseen])
    assert remote.remembered() == sorted([DIGEST, unseen])


def test_without_a_copy_the_store_itself_is_read(remote: RemoteBlobs) -> None:
    remote.put(CONTENT)
    remote.cache.locate(DIGEST).unlink()
    assert remote.keep(DIGEST)
    remote.cache.locate(DIGEST).unlink()
    lost(remote)
    assert not remote.keep(DIGEST)


def test_a_listing_that_the_driver_remembers_is_no_proof(remote: RemoteBlobs, tmp_path: Path) -> None:
    folder = tmp_path / "share"
    other = RemoteBlobs(Remembering(), str(folder), remote.cache)
    other.put(CONTENT)
    other.filesystem.ls(str(folder / DIGEST[:2]), detail=True)
    Path(other.locate(DIGEST)).unlink()
    an_hour_later(other)
    assert other.keep(DIGEST)
    assert Path(other.locate(DIGEST)).read_bytes() == CONTENT


@settings(max_examples=40)
@given(st.data())
def test_changed_remote_bytes_are_refused_and_not_kept(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("machine")
    here, there = (open_blobs(f"memory://{folder.name}", cache=folder / name) for name in ("here", "there"))
    assert isinstance(here, RemoteBlobs)
    here.put(CONTENT)
    changed = flip(CONTENT, at=data.draw(st.integers(0, len(CONTENT) - 1)), by=data.draw(st.integers(1, 255)))
    here.filesystem.pipe_file(here.locate(DIGEST), changed)
    with pytest.raises(BlobDamaged, match="was changed in"):
        there.path(DIGEST)
    assert files(folder / "there") == []


def test_a_url_says_where_blobs_lie(tmp_path: Path) -> None:
    assert open_blobs(f"file://{tmp_path}/a b", cache=tmp_path) == LocalBlobs(tmp_path / "a b")
    other = open_blobs("memory://bucket/folder/", cache=tmp_path)
    assert isinstance(other, RemoteBlobs)
    assert (other.root, other.cache) == ("/bucket/folder", LocalBlobs(tmp_path))


@pytest.mark.parametrize("code", [FULL_DISK, BROKEN_DISK])
def test_a_disk_that_fails_at_any_point_leaves_what_was_there(local: LocalBlobs, code: int) -> None:
    before = local.put(b"before")
    for number in count(1):
        with disk_fails(at=number, code=code) as calls, suppress(OSError):
            local.put(CONTENT)
        assert local.path(before).read_bytes() == b"before"
        assert {DIGEST, before} >= set(local.digests()) == set(files(local.root))
        if DIGEST in local.digests():
            assert local.path(DIGEST).read_bytes() == CONTENT
            local.locate(DIGEST).unlink()
        if len(calls) < number:
            break
    assert number > 5


@pytest.mark.parametrize("fault", [1, 2, 3, 4])
def test_a_file_that_cannot_be_replaced_keeps_its_bytes(tmp_path: Path, fault: int) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with disk_fails(at=fault, code=FULL_DISK), pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["file"]


CHILD = """
import os, signal, sys
from pathlib import Path
from resources.store.blobs import LocalBlobs

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[2], killed)
LocalBlobs(Path(sys.argv[1])).put(bytes(range(256)) * 40)
"""


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_process_killed_before_the_rename_leaves_nothing_to_see(local: LocalBlobs, call: str) -> None:
    before = local.put(b"before")
    (local.root / DIGEST[:2]).mkdir()
    child = subprocess.run([sys.executable, "-c", CHILD, str(local.root), call], check=False)
    assert child.returncode == -signal.SIGKILL
    assert len(files(local.root)) == 2  # what was being written lies there, under a name that nobody looks for
    assert list(local.digests()) == [before]
    with pytest.raises(BlobDamaged, match="is missing"):
        local.path(DIGEST)
    local.put(CONTENT)
    assert local.path(DIGEST).read_bytes() == CONTENT


SMALL_DISK = """
import resource, signal, sys
from pathlib import Path
from resources.store.blobs import LocalBlobs

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
LocalBlobs(Path(sys.argv[1])).put(bytes(range(256)) * 40)
"""


def test_a_write_that_the_system_cuts_short_leaves_nothing(local: LocalBlobs) -> None:
    child = subprocess.run([sys.executable, "-c", SMALL_DISK, str(local.root)], check=False, capture_output=True)
    assert b"File too large" in child.stderr
    assert files(local.root) == []


def test_bytes_are_on_disk_before_their_name_and_both_before_a_write_returns(
    local: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []

    def noting(name: str) -> None:
        original = getattr(os, name)

        def call(what: Any, *args: Any, **kwargs: Any) -> None:
            path = Path(f"/proc/self/fd/{what}").readlink() if name == "fsync" else args[0] if name == "replace" else what
            original(what, *args, **kwargs)
            done.append((name, str(path)))

        monkeypatch.setattr(os, name, call)

    for name in ("mkdir", "fsync", "replace"):
        noting(name)
    local.put(CONTENT)
    store, folder = local.root, local.root / DIGEST[:2]
    (written,) = [path for name, path in done if name == "fsync" and Path(path).name.startswith(".writing-")]
    assert done == [
        ("mkdir", str(store)),
        ("fsync", str(store.parent)),
        ("mkdir", str(folder)),
        ("fsync", str(store)),
        ("fsync", written),
        ("replace", str(folder / DIGEST)),
        ("fsync", str(folder)),
    ]


def test_above_a_store_what_is_missing_is_read_below_and_what_was_changed_is_damage(local: LocalBlobs, tmp_path: Path) -> None:
    own = LocalBlobs(tmp_path / "own")
    both = Above(own, local)
    local.put(CONTENT)
    assert both.path(DIGEST) == local.locate(DIGEST)
    both.put(CONTENT)
    assert both.path(DIGEST) == own.locate(DIGEST)
    damage(own.locate(DIGEST))
    with pytest.raises(BlobDamaged, match="was changed"):
        both.path(DIGEST)
    assert not both.keep(DIGEST)
    assert local.path(DIGEST).read_bytes() == CONTENT
