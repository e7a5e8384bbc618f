"""`ml-assets experiment`: a change is tried on retired windows, charged to nobody, logged to MLflow, and promotes nothing."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ml_assets.spec.key_assignments import with_values
from ml_assets.spec.product import ProductError, load
from resources.ledger.ledger import Ledger
from resources.settings import settings
from resources.tracking.mlflow_catalogue import Catalogue
from tests.support.homes.shop import SHOP
from tests.support.homes.walked_home import WINDOWS, walked_shop
from tests.support.repository import Team


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return walked_shop(tmp_path_factory, tmp_path_factory.mktemp("tried"))


def tried(team: Team, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ml_assets", "experiment", "shop", *arguments]
    return subprocess.run(command, cwd=Path(__file__).parents[2], env=team.environ, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_a_parameter_is_tried_against_the_commit_and_logged_as_development(shop: Team, tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{shop.home / 'ledger.db'}")
    before = [entry.hash for entry in ledger.entries()]
    written = (shop.product / "product.yaml").read_bytes()
    done = tried(shop, "--set", "model.depth=5", "--set", "model.iterations=30", "--json", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    comparison = json.loads(done.stdout)
    assert (comparison["outcome"], tuple(comparison["windows"])) == ("ACCEPT", WINDOWS)
    assert comparison["judged"]["metrics"]["log_loss"]["difference"]["value"] < 0
    assert {"report.md", "shop.roc.svg"} <= {path.name for path in (tmp_path / "out").iterdir()}
    current = settings(shop.environ)
    client = Catalogue(current.mlflow, current.mlflow_artifacts).client()
    experiment = client.get_experiment_by_name("shop-development")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params == {"model.depth": "5", "model.iterations": "30"}
    assert run.data.tags["evidence"] == "development"
    assert run.data.metrics["log_loss"] == comparison["judged"]["metrics"]["log_loss"]["candidate"]["value"]
    assert [entry.hash for entry in ledger.entries()] == before
    assert (shop.product / "product.yaml").read_bytes() == written


@pytest.mark.long
def test_what_cannot_be_trained_ends_with_1_and_its_reason(shop: Team) -> None:
    done = tried(shop, "--set", "model.params.bootstrap_type=Nonsense")
    assert done.returncode == 1
    assert "head cannot be trained and scored: " in done.stdout
    assert "Nonsense" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.long
def test_a_commit_without_the_product_is_refused_by_name(shop: Team, tmp_path: Path) -> None:
    other = Team(tmp_path / "team", shop.home, product_name="shop")
    shutil.copytree(SHOP, other.product)
    other.git("init", "--quiet", "--initial-branch", "main")
    other.git("commit", "--quiet", "--allow-empty", "--message", "Nothing yet")
    done = tried(other, "--set", "model.depth=5")
    assert (done.returncode, done.stderr) == (
        1,
        "error: shop in HEAD: it is not there; name a commit that has it: --base REF\n",
    )


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["model.dept=6"], "--set model.dept: unknown key; did you mean 'depth'?"),
        (["model.params.no_such_parameter=1"], "--set model.params.no_such_parameter: is not a parameter of CatBoostClassifier"),
        (["model.depth=six"], '--set model.depth: input should be a valid integer; found "six"'),
        (["model.depth"], "--set model.depth: give a key of product.yaml and a value"),
        (["=6"], "--set =6: give a key of product.yaml and a value"),
        (["model.depth.more=6"], "depth has no keys below it that could be set"),
        (["model.depth=[6"], "--set model.depth=[6: the value is not YAML"),
        (["name=other"], "--set name: 'other' would be another product"),
        (["gates.claims=[]"], "--set gates.claims: "),
    ],
)
def test_an_assignment_that_product_yaml_could_not_have_is_refused(assignments: Sequence[str], message: str) -> None:
    with pytest.raises(ProductError) as refused:
        with_values(load(SHOP), assignments)
    assert message in str(refused.value)


def test_an_assignment_changes_its_key_and_nothing_else() -> None:
    product = load(SHOP)
    changed = with_values(product, ["model.depth=5", "endpoint.smoke_rows=9", "staging={p99_ratio: 2.5}"])
    assert (changed.model.depth, changed.endpoint.smoke_rows) == (5, 9)
    assert changed.staging is not None
    same = {"model": product.model, "endpoint": product.endpoint, "staging": product.staging}
    assert changed.model_copy(update=same).model_dump() == product.model_dump()
    assert changed.files == product.files
