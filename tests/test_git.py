"""The commit that the code was checked out at; where there is none, nothing fails."""

import subprocess
from pathlib import Path

import pytest

from ml_assets.core.manifests import Output
from resources.git import source
from resources.workspace import Workspace
from tests.records import recipe


def git(folder: Path, *arguments: str) -> str:
    named = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.py").write_text("1")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


@pytest.fixture(autouse=True)
def forgotten() -> None:
    source.cache_clear()


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    assert source(checkout) == {"commit": git(checkout, "rev-parse", "HEAD"), "is_dirty": False}


@pytest.mark.parametrize("name", ["a.py", "new.py"])
def test_a_changed_or_new_file_is_told(checkout: Path, name: str) -> None:
    (checkout / name).write_text("2")
    assert source(checkout) == {"commit": git(checkout, "rev-parse", "HEAD"), "is_dirty": True}


def test_where_the_project_is_no_checkout_of_its_own_there_is_none(checkout: Path, tmp_path: Path) -> None:
    inside = checkout / "site-packages"
    inside.mkdir()
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    assert [source(folder) for folder in (inside, tmp_path, empty, tmp_path / "none")] == [None] * 4


def test_where_git_is_not_installed_there_is_none(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert source(checkout) is None


def test_the_ledger_keeps_it_beside_the_run_not_in_the_manifest(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for commit in ("a" * 40, "b" * 40, None):
        told = {"commit": commit, "is_dirty": False} if commit else None
        monkeypatch.setattr("resources.lineage.source", lambda _, told=told: told)
        ids.append(workspace.lineage.make(recipe(), lambda: Output({"a": b"1"}), run="r").manifest.id)
    entries = [entry.body for entry in workspace.ledger.entries() if entry.kind == "manifest"]
    assert len(set(ids)) == 1
    assert [(body["source"], body["run"]) for body in entries] == [({"commit": "a" * 40, "is_dirty": False}, "r")]
    assert "source" not in entries[0]["manifest"]
