"""`ml-assets tune`: parameters are searched on past windows, compared on others, and what is better is written as a patch."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.tuning.declaration_patch import unified, with_parameters
from ml_assets.core.tuning.parameters import assignments, at_edge, rounded
from ml_assets.services.tuning.search import Search
from ml_assets.services.tuning.windows import TooFewWindows
from ml_assets.spec.key_assignments import with_values
from ml_assets.spec.product import ProductError, load
from ml_assets.spec.tuning import USUAL_SPACE, SearchSpec
from resources.settings import settings
from resources.tracking.mlflow_catalogue import Catalogue
from tests.support.homes.shop import SHOP
from tests.support.homes.walked_home import WINDOWS, walked_shop
from tests.support.repository import Team

SPACE = "\ntune: {trials: 6, windows: 1, space: {iterations: {low: 1, high: 60, log: true}, depth: {low: 1, high: 6}}}\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return walked_shop(tmp_path_factory, tmp_path_factory.mktemp("tuned"))


def tune(team: Team, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ml_assets", "tune", "shop", *arguments]
    environ = {**team.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def declared(team: Team, *changes: tuple[str, str]) -> None:
    spec = team.product / "product.yaml"
    text = spec.read_text()
    for old, new in changes:
        assert len(re.findall(old, text)) == 1, old
        text = re.sub(old, new, text)
    spec.write_text(text)


# --- the declaration


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("{dept: {low: 1, high: 5}}", "dept: allowed are iterations, learning_rate, depth"),
        ("{depth: {low: 5, high: 5}}", "low 5 has to be less than high 5"),
        ("{depth: {low: 1}}", "give low and high, or choices"),
        ("{depth: {low: 1, high: 99}}", "depth: 99: Input should be less than or equal to 16"),
        ("{learning_rate: {low: 0, high: 0.5, log: true}}", "log needs limits above 0"),
        ("{depth: {choices: [4]}}", "choices has to have two values at least"),
        ("{depth: {choices: [4, 5], low: 1, high: 2}}", "give choices, or low and high, not both"),
        ("{params.no_such: {low: 1, high: 5}}", "params.no_such: is not a parameter of CatBoostClassifier"),
        ("{params.depth: {low: 1, high: 5}}", "params.depth: set this as iterations, learning_rate, depth"),
        ("{}", "at least 1 item"),
    ],
)
def test_a_space_that_could_not_be_declared_is_refused_on_load(tmp_path: Path, space: str, words: str) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    for file in SHOP.glob("*.py"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "product.yaml").write_text((SHOP / "product.yaml").read_text() + f"\ntune: {{space: {space}}}\n")
    with pytest.raises(ProductError) as refused:
        load(folder)
    assert words in str(refused.value)
    assert "product.yaml:" in str(refused.value)


def test_what_is_tried_is_written_as_product_yaml_has_it() -> None:
    assert load(SHOP).tune.space == USUAL_SPACE
    assert assignments({"depth": 6, "params.bootstrap_type": "MVS", "learning_rate": rounded(0.0123456)}) == [
        "model.depth=6",
        "model.params.bootstrap_type=MVS",
        "model.learning_rate=0.0123",
    ]


def test_a_value_at_the_end_of_its_range_is_named() -> None:
    space = {"depth": SearchSpec(low=2, high=8), "learning_rate": SearchSpec(low=0.01, high=0.3, log=True)}
    assert at_edge(space, {"depth": 5, "learning_rate": 0.05}) == []
    (depth,) = at_edge(space, {"depth": 8, "learning_rate": 0.05})
    assert depth.startswith("depth 8 lies at the edge of what was searched (2 to 8)")
    (rate,) = at_edge(space, {"depth": 5, "learning_rate": 0.0101})
    assert rate.startswith("learning_rate 0.0101 lies at the edge")


# --- the patch

TEXTS = {
    "block": "a: 1\nmodel:  # trees\n  iterations: 100  # few\n  depth: 6\n  params:\n    # why\n    rsm: 0.5\nb: 2\n",
    "flow": "a: 1\nmodel: {iterations: 100, depth: 6, params: {rsm: 0.5}}\nb: 2\n",
    "no params": "a: 1\nmodel:\n  iterations: 100\n  depth: 6\nb: 2\n",
    "no last newline": "a: 1\nmodel: {iterations: 100, depth: 6, params: {rsm: 0.5}}",
    "empty params": "a: 1\nmodel: {iterations: 100, depth: 6, params: {}}\nb: 2\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_patch_changes_the_values_and_keeps_every_other_line(tmp_path: Path, text: str) -> None:
    values = {"depth": 9, "learning_rate": 0.0634, "params.l2_leaf_reg": 3.5, "params.rsm": 0.25}
    after = with_parameters(text, values)
    was, now = yaml.safe_load(text), yaml.safe_load(after)
    params = {**was["model"].get("params", {}), "l2_leaf_reg": 3.5, "rsm": 0.25}
    assert now == {**was, "model": {**was["model"], "depth": 9, "learning_rate": 0.0634, "params": params}}
    assert all(comment in after for comment in re.findall("#.*", text))
    (tmp_path / "product.yaml").write_text(text)
    (tmp_path / "tune.patch").write_text(unified("product.yaml", text, after))
    subprocess.run(["git", "apply", "tune.patch"], cwd=tmp_path, check=True)
    assert (tmp_path / "product.yaml").read_text() == after


# --- the search


@pytest.fixture(scope="module")
def searched(shop: Team, tmp_path_factory: pytest.TempPathFactory) -> tuple[Team, Path, subprocess.CompletedProcess[str]]:
    """The shop with one tree, searched by the command."""
    declared(shop, (r"iterations: \d+", "iterations: 1"), (r"\Z", SPACE))
    folder = tmp_path_factory.mktemp("patches")
    return shop, folder, tune(shop, "--json", cwd=folder)


@pytest.mark.long
def test_a_badly_declared_product_is_made_better_beyond_noise(
    searched: tuple[Team, Path, subprocess.CompletedProcess[str]],
) -> None:
    shop, folder, done = searched
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["searched"], result["held_apart"]) == ([WINDOWS[0]], [WINDOWS[1]])
    assert result["is_better"], result["outcome"]
    assert result["difference"]["low"] > 0
    assert result["outcome"].startswith("better than what is declared beyond noise: roc_auc +")
    assert len(result["trials"]) == 6
    assert "6/6  " in done.stderr
    patch = folder / "tune-shop.patch"
    subprocess.run(["git", "apply", str(patch)], cwd=shop.root, check=True)
    changed = load(shop.product)
    assert changed.model.iterations == result["best"]["parameters"]["iterations"] > 1
    subprocess.run(["git", "apply", "--reverse", str(patch)], cwd=shop.root, check=True)
    current = settings(shop.environ)
    client = Catalogue(current.mlflow, current.mlflow_artifacts).client()
    experiment = client.get_experiment_by_name("shop-development")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["outcome"] == "better"
    assert run.data.metrics["difference/roc_auc/low"] == result["difference"]["low"]


@pytest.mark.long
def test_the_same_search_goes_on_and_tries_nothing_twice(
    searched: tuple[Team, Path, subprocess.CompletedProcess[str]],
) -> None:
    shop, folder, first = searched
    again = tune(shop, "--json", "--no-log", "--trials", "8", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert "6 trials were made before" in again.stderr
    before, now = (json.loads(done.stdout)["trials"] for done in (first, again))
    assert (len(now), now[:6]) == (8, before)
    suggestions = [json.dumps(trial["parameters"]) for trial in now]
    assert suggestions[6] != suggestions[0]


@pytest.mark.long
def test_of_a_well_declared_product_nothing_is_pretended(
    searched: tuple[Team, Path, subprocess.CompletedProcess[str]],
) -> None:
    shop, folder, _ = searched
    product = load(shop.product)
    few = product.tune.model_copy(update={"trials": 2, "space": {"depth": SearchSpec(low=3, high=4)}})
    well = with_values(product, ["model.iterations=60", "model.depth=3"]).model_copy(update={"tune": few})
    workspace = Workspace(settings(shop.environ))
    result = Search(workspace.lineage, well, folder / "well", say=print).run()
    assert (result.is_better, result.patch) == (False, "")
    assert result.sentence.startswith(("not better than what is declared beyond noise", "undecided"))
    workspace.ledger.close()


def test_without_two_retired_windows_nothing_is_searched(shop: Team, tmp_path: Path) -> None:
    workspace = Workspace(settings({**shop.environ, "ML_ASSETS_HOME": str(tmp_path / "empty")}))
    with pytest.raises(TooFewWindows, match=r"there are 0; a window retires when .*`ml-assets gates budget shop`"):
        Search(workspace.lineage, load(shop.product), tmp_path / "tune", say=print).run()
    workspace.ledger.close()
