"""Whose commit: of the code, and of a product that lies elsewhere; where nobody knows, nothing fails."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.lineage.source import NOT_VERSIONED, source_text
from resources import git as module
from resources.git import Sources, source, tracked
from resources.settings import settings
from tests.support.records import recipe


def git(folder: Path, *arguments: str) -> str:
    named = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def committed(folder: Path, *files: str) -> Path:
    """A repository in a new folder, with these files in one commit."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def head(folder: Path, *, is_dirty: bool = False, is_merged: bool | None = True) -> dict[str, Any]:
    return {"commit": git(folder, "rev-parse", "HEAD"), "is_dirty": is_dirty, "is_merged": is_merged}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return committed(tmp_path / "checkout", "a.py", "products/own/product.yaml")


@pytest.fixture(autouse=True)
def forgotten() -> None:
    tracked.cache_clear()


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    assert source(checkout) == {"code": head(checkout)}


def test_a_commit_is_merged_where_the_default_branch_contains_it(checkout: Path, tmp_path: Path) -> None:
    def is_merged(folder: Path, *where: str) -> bool | None:
        git(folder, "switch", "-q", *where)
        tracked.cache_clear()
        code = source(folder)["code"]
        assert code == head(folder, is_merged=code["is_merged"] if code else None)
        return code["is_merged"] if code else None

    assert is_merged(checkout, "--detach", "main")
    git(checkout, "switch", "-q", "-c", "change")
    (checkout / "a.py").write_text("2")
    git(checkout, "commit", "-q", "-a", "-m", "two")
    assert [is_merged(checkout, "change"), is_merged(checkout, "--detach", "change")] == [False, False]
    git(checkout, "switch", "-q", "main")
    git(checkout, "merge", "-q", "--squash", "change")
    git(checkout, "commit", "-q", "-m", "two, squashed")
    assert [is_merged(checkout, "main"), is_merged(checkout, "change")] == [True, False], "the same files, another commit"
    git(checkout, "switch", "-q", "main")
    git(checkout, "merge", "-q", "--no-edit", "change")
    assert is_merged(checkout, "change")

    git(checkout, "switch", "-q", "main")
    git(tmp_path, "clone", "-q", f"file://{checkout}", "team")
    assert is_merged(tmp_path / "team", "main")
    git(tmp_path / "team", "commit", "-q", "--allow-empty", "-m", "not pushed")
    assert is_merged(tmp_path / "team", "main") is False, "the branch that counts is the one that others have"


def test_a_shallow_clone_knows_only_what_it_can_see(checkout: Path, tmp_path: Path) -> None:
    older = git(checkout, "rev-parse", "HEAD")
    git(checkout, "commit", "-q", "--allow-empty", "-m", "two")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{checkout}", "shallow")
    shallow = tmp_path / "shallow"
    assert source(shallow) == {"code": head(shallow)}
    git(shallow, "fetch", "-q", "--depth", "1", "origin", older)
    git(shallow, "switch", "-q", "--detach", older)
    tracked.cache_clear()
    assert source(shallow) == {"code": head(shallow, is_merged=None)}
    git(checkout, "branch", "-m", "main", "trunk")
    tracked.cache_clear()
    assert source(checkout) == {"code": head(checkout, is_merged=None)}, "none of the names that a default branch has"


@pytest.mark.parametrize("name", ["a.py", "new.py"])
def test_a_changed_or_new_file_is_told(checkout: Path, name: str) -> None:
    (checkout / name).write_text("2")
    assert source(checkout) == {"code": head(checkout, is_dirty=True)}


def test_where_the_project_is_no_checkout_there_is_none(checkout: Path, tmp_path: Path) -> None:
    inside = checkout / "site-packages"
    inside.mkdir()
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    assert [source(folder) for folder in (inside, tmp_path, empty, tmp_path / "none")] == [{"code": None}] * 4


def test_without_a_checkout_the_commit_is_the_one_that_an_image_states(checkout: Path, tmp_path: Path) -> None:
    assert source(tmp_path, stated="c" * 40) == {"code": {"commit": "c" * 40, "is_dirty": None}}
    merged = {"code": {"commit": "c" * 40, "is_dirty": None, "is_merged": True}}
    assert source(tmp_path, stated="c" * 40, is_merged=True) == merged
    (tmp_path / "mine").mkdir()
    assert source(tmp_path / "none", product=tmp_path / "mine", stated="c" * 40, is_merged=True) == merged, "it is in the image"
    assert source(checkout, stated="c" * 40, is_merged=True) == {
        "code": head(checkout)
    }  # what lies there counts more than what is said


def test_where_git_is_not_installed_there_is_none(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    product = committed(tmp_path / "mine", "product.yaml")
    monkeypatch.setenv("PATH", str(checkout))
    assert source(checkout, product=product, stated="c" * 40) == {
        "code": {"commit": "c" * 40, "is_dirty": None},
        "product": None,
    }


def test_a_product_in_the_codes_checkout_has_the_codes_commit(checkout: Path) -> None:
    assert source(checkout, product=checkout / "products" / "own") == {"code": head(checkout)}


def test_a_product_that_comes_with_installed_code_needs_no_commit_of_its_own(tmp_path: Path) -> None:
    product = tmp_path / "site-packages" / "products" / "own"
    product.mkdir(parents=True)
    assert source(tmp_path / "site-packages", product=product, stated="c") == {"code": {"commit": "c", "is_dirty": None}}


def test_a_product_that_the_codes_checkout_ignores_is_not_under_version_control(checkout: Path) -> None:
    (checkout / ".gitignore").write_text("mine\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "two")
    (checkout / "mine").mkdir()
    (checkout / "mine" / "product.yaml").write_text("1")
    assert source(checkout, product=checkout / "mine") == {"code": head(checkout), "product": NOT_VERSIONED}


def test_a_product_elsewhere_has_the_state_of_its_own_repository(checkout: Path, tmp_path: Path) -> None:
    product = committed(tmp_path / "mine", "product.yaml")
    git(product, "commit", "-q", "--allow-empty", "-m", "two")
    assert source(checkout, product=product) == {"code": head(checkout), "product": head(product)}


@pytest.mark.parametrize(
    ("changed", "is_dirty"), [("products/mine/product.yaml", True), ("products/mine/new", True), ("b", False)]
)
def test_a_subfolder_of_another_repository_is_dirty_by_its_own_files_alone(
    checkout: Path, tmp_path: Path, changed: str, is_dirty: bool
) -> None:
    other = committed(tmp_path / "other", "b", "products/mine/product.yaml")
    (other / changed).write_text("2")
    own_source = source(checkout, product=other / "products" / "mine")
    assert own_source["product"] == head(other, is_dirty=is_dirty)


@pytest.mark.parametrize("kind", ["no repository", "untracked in one", "a repository without a commit"])
def test_a_product_whose_files_are_in_no_commit_says_so(checkout: Path, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    if kind == "untracked in one":
        committed(folder, "b")
    if kind == "a repository without a commit":
        git(folder, "init", "-q")
    (folder / "mine").mkdir()
    (folder / "mine" / "product.yaml").write_text("1")
    assert source(checkout, product=folder / "mine")["product"] == NOT_VERSIONED


def test_in_a_git_hook_of_another_repository_the_answer_is_the_same(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = source(checkout)
    tracked.cache_clear()
    hook = committed(tmp_path / "hook", "c")
    monkeypatch.setenv("GIT_DIR", str(hook / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(hook))
    own_source = source(checkout)
    monkeypatch.undo()
    assert own_source == before


def test_a_product_is_found_by_its_name_in_the_settings(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = committed(tmp_path / "other", "mine/product.yaml")
    monkeypatch.setattr(module, "ROOT", tmp_path / "installed")
    places = {"ML_ASSETS_PRODUCTS": f"{checkout}/products:{other}", "ML_ASSETS_COMMIT": " c0ffee\n"}
    current = settings(places)
    sources = Sources(current.products, current.commit)
    stated = {"commit": "c0ffee", "is_dirty": None}
    assert sources("mine") == {"code": stated, "product": head(other)}
    assert sources("own") == {"code": stated, "product": head(checkout)}
    assert sources("unknown") == {"code": stated}


def test_the_ledger_keeps_it_next_to_the_run_not_in_the_manifest(workspace: Workspace) -> None:
    ids = []
    for commit in ("a" * 40, "b" * 40, None):
        own_source: Any = {"code": {"commit": commit, "is_dirty": False} if commit else None, "product": NOT_VERSIONED}
        lineage = replace(
            workspace.lineage, sources=lambda product, own_source=own_source: own_source if product == "trains" else None
        )
        ids.append(lineage.make(recipe(), lambda: Output({"a": b"1"}), run="r").manifest.id)
    entries = [entry.body for entry in workspace.ledger.entries() if entry.kind == "manifest"]
    assert len(set(ids)) == 1
    code = {"commit": "a" * 40, "is_dirty": False}
    assert [(body["source"], body["run"]) for body in entries] == [({"code": code, "product": NOT_VERSIONED}, "r")]
    assert "source" not in entries[0]["manifest"]


def test_a_workspace_records_the_projects_own_commit(workspace: Workspace) -> None:
    workspace.lineage.make(recipe(), lambda: Output({"a": b"1"}), run="r")
    recorded = workspace.ledger.entries()[0].body["source"]
    assert recorded == source(module.ROOT)


@pytest.mark.parametrize(
    ("recorded", "text"),
    [
        (None, ""),
        ({"commit": "c0ffee" * 6 + "beef", "is_dirty": True}, "c0ffeec0ff with changes"),  # as entries had it before
        ({"code": {"commit": "c" * 40, "is_dirty": False}}, "cccccccccc"),
        (
            {"code": {"commit": "c" * 40, "is_dirty": None}, "product": NOT_VERSIONED},
            "cccccccccc; product not under version control",
        ),
        (
            {"code": None, "product": {"commit": "b" * 40, "is_dirty": True}},
            "unknown; product commit bbbbbbbbbb with changes",
        ),
        ({"code": None, "product": None}, "unknown; product commit unknown"),
    ],
)
def test_a_source_is_told_in_a_few_words_whatever_its_age(recorded: Any, text: str) -> None:
    assert source_text(recorded) == text
