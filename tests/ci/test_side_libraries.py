"""What a change of libraries, of the pinned ml-assets, and of a stage's own declaration makes stale, and what of it judges."""

import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ml_assets.core.changes.stale_stages import DECLARING
from ml_assets.core.lineage.stages import SOURCE, STAGES
from ml_assets.services.review.side_differences import Differences, differences
from ml_assets.services.review.sides import commit_side, tree_side
from resources import python_environments
from resources.git_trees import Repository
from resources.python_environments import EnvironmentNotMade, environment_of
from tests.support.homes.walked_home import shop_team
from tests.support.repository import Team, team

PINNED = "ml-assets @ git+https://forge.example/ml-assets@aaa\ncatboost==1.2.7\n"


@pytest.fixture
def trains(tmp_path: Path) -> Team:
    return team(tmp_path)


def compared(trains: Team) -> Differences:
    """The work tree against the main branch."""
    repository, roots = Repository.around(trains.root), [trains.root / "products"]
    tree = tree_side(repository, roots, trains.root.parent / "cache")
    return differences(commit_side(repository, repository.commit("main"), roots, tree), tree)


def stale(differences: Differences) -> dict[str, Sequence[str]]:
    return {stage.stage: stage.causes for stage in differences.stale}


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements.lock", "uv.lock"])
def test_another_library_makes_stale_what_computes_with_it(trains: Team, lock: str) -> None:
    pins = {version: f"catboost=={version}\n" for version in ("1.2.7", "1.2.8")}
    if lock == "uv.lock":
        pins = {version: f'[[package]]\nname = "catboost"\nversion = "{version}"\n' for version in pins}
    trains.git("switch", "--quiet", "main")
    (trains.root / lock).write_text(pins["1.2.7"])
    trains.commit("Pin")
    (trains.root / lock).write_text(f"# newer\n{pins['1.2.8']}")
    differences = compared(trains)
    assert differences.changes == []
    assert stale(differences)["model"] == ("library: catboost 1.2.7 -> 1.2.8",)
    assert "dataset" not in stale(differences)


def test_another_ml_assets_judges_and_may_compute_anything_otherwise(trains: Team) -> None:
    trains.git("switch", "--quiet", "main")
    (trains.root / "requirements.txt").write_text(PINNED)
    trains.commit("Pin")
    (trains.root / "requirements.txt").write_text(PINNED.replace("@aaa", "@bbb"))
    differences = compared(trains)
    [change] = differences.changes
    assert (change.name, change.effect, change.old, change.new) == ("judging code", "weakened", "aaa", "bbb")
    assert all("library: ml-assets aaa -> bbb" in causes for causes in stale(differences).values())
    assert len(differences.stale) == len(STAGES)


def test_a_builder_that_a_change_takes_out_of_the_list_makes_its_stage_stale(trains: Team) -> None:
    repository, roots = Repository.around(trains.root), [trains.root / "products"]
    tree = tree_side(repository, roots, trains.root.parent / "cache")
    text = SOURCE.texts[DECLARING].replace(b'(*_built_by("tracking"), *_LOGGED)', b'_built_by("tracking")')
    assert text != SOURCE.texts[DECLARING]
    other = replace(tree, code=replace(SOURCE, texts={**SOURCE.texts, DECLARING: text}))
    assert stale(differences(other, tree)) == {"tracking": (f"code: {DECLARING}",)}
    moved = replace(tree, code=replace(SOURCE, texts={**SOURCE.texts, DECLARING: b"# a comment\n" + SOURCE.texts[DECLARING]}))
    assert stale(differences(moved, tree)) == {}


def test_a_product_without_reference_tables_makes_none_again(tmp_path: Path) -> None:
    shop = shop_team(tmp_path)
    shop.write("contract.py", '"min_rows": 5', '"min_rows": 6')
    differences = stale(compared(shop))
    assert differences["dataset"] == ("file: contract.py",)
    assert "reference" not in differences


@pytest.mark.long
@pytest.mark.parametrize("has_uv", [True, False])
def test_an_environment_is_made_of_a_requirements_file_without_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_uv: bool
) -> None:
    if not has_uv:
        monkeypatch.setattr(shutil, "which", lambda _: None)
        monkeypatch.setattr(python_environments, "ROOT", tmp_path)
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"tiny @ {wheel(tmp_path).as_uri()}\n")
    python = environment_of(lock, folder=tmp_path / "environments")
    program = "import importlib.metadata as m; print(m.version('tiny'))"
    assert subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout == "7\n"
    lock.with_name("uv.lock").write_text("")
    if not has_uv:
        with pytest.raises(EnvironmentNotMade, match="uv is not installed: `pip install uv`"):
            environment_of(lock.with_name("uv.lock"), folder=tmp_path / "environments")


def wheel(folder: Path) -> Path:
    """The smallest package that can be installed."""
    path = folder / "tiny-7-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("tiny-7.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 7\n")
        packed.writestr("tiny-7.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr("tiny-7.dist-info/RECORD", "")
    return path
