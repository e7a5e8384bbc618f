"""Digests of delivered files are remembered, and never for a file that may be another one by now."""

import json
import os
from pathlib import Path

import pytest

from ml_assets.core.digests import sha256
from resources import landing_digests as delivered
from resources.landing_digests import SETTLED_NS, FileDigests

A, B = b"first", b"other"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "2013-01.csv"
    path.write_bytes(A)
    return path


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some time after the deliveries."""
    now = delivered.time.time_ns
    monkeypatch.setattr(delivered.time, "time_ns", lambda: now() + 2 * SETTLED_NS)


def digest(file: Path, cache: Path) -> str:
    """As one process after another finds it."""
    digests = FileDigests.read(cache)
    digest = digests.of(str(file), file.stat())
    digests.write()
    return digest


def test_an_unchanged_file_is_not_read_again(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache.json"
    assert digest(file, cache) == sha256(A)
    written = (cache.stat().st_ino, cache.stat().st_mtime_ns)
    monkeypatch.setattr(delivered, "digest_file", lambda _: pytest.fail("it was read"))
    assert digest(file, cache) == sha256(A)
    assert (cache.stat().st_ino, cache.stat().st_mtime_ns) == written


@pytest.mark.parametrize("is_in_place", [True, False])
def test_another_content_of_equal_size_and_date_is_seen(file: Path, tmp_path: Path, is_in_place: bool) -> None:
    cache, before = tmp_path / "cache.json", file.stat()
    assert digest(file, cache) == sha256(A)
    target = file if is_in_place else tmp_path / "new"
    with target.open("r+b" if is_in_place else "wb") as stream:
        stream.write(B)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    target.replace(file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert digest(file, cache) == sha256(B)


def test_a_file_that_has_just_changed_is_read_each_time(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache.json"
    assert digest(file, cache) == sha256(A)
    file.write_bytes(B)
    monkeypatch.setattr(delivered.time, "time_ns", lambda: file.stat().st_ctime_ns)
    assert digest(file, cache) == sha256(B)
    assert FileDigests.read(cache).known == {}


def test_what_a_cache_of_another_form_says_is_not_used(file: Path, tmp_path: Path) -> None:
    cache, stat = tmp_path / "cache.json", file.stat()
    cache.write_text(json.dumps({str(file): [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, "0" * 64]}))
    assert digest(file, cache) == sha256(A)
