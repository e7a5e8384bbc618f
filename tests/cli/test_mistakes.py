"""What somebody did gets an answer that names it, and no traceback: the culprit, what is allowed, the next command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from tests.support.broken_products import BROKEN
from tests.support.homes.shop import SHOP
from tests.support.repository import team

DEFINITIONS = "from ml_assets.definitions import defs; print(*sorted(sensor.name for sensor in defs().sensors))"


def ml_assets(folder: Path, *arguments: str, **environ: str) -> str:
    """The error of a command that fails, for the trains."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ML_ASSETS_", "DAGSTER_"))}
    own = {"ML_ASSETS_HOME": str(folder / "home"), "ML_ASSETS_PRODUCTS": str(folder / "team" / "products")}
    command = [sys.executable, "-m", "ml_assets", *arguments]
    done = subprocess.run(command, env=kept | own | environ, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return team(tmp_path_factory.mktemp("mistakes")).root.parent


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "key", "message"),
    [
        ("run", "2012-12", "'2012-12' is not a partition of this product: its partitions by month start at 2013-01"),
        ("check", "2013-4", "'2013-4' is not the key of a partition by month; a good one is 2013-01"),
        ("plan", "2013-13", "'2013-13' is not the key of a partition by month; a good one is 2013-01"),
    ],
)
def test_a_partition_that_the_calendar_does_not_have_is_named(folder: Path, command: str, key: str, message: str) -> None:
    assert message in ml_assets(folder, command, "trains", "--partition", key)


@pytest.mark.long
def test_a_product_without_data_is_no_product_without_work(folder: Path) -> None:
    how = "`ml-assets deliver trains trips FILE --partition KEY` delivers a partition"
    assert how in ml_assets(folder, "run", "trains", "--stale")
    own = {"ML_ASSETS_HOME": str(folder / "home"), "ML_ASSETS_PRODUCTS": str(folder / "team" / "products")}
    for arguments, words in (
        (["plan", "trains"], how),
        (["experiment", "trains", "--set", "model.depth=3"], "the home has no data to compare the models on; name one that has"),
    ):
        done = CliRunner().invoke(cli, arguments, env=own)
        assert done.exit_code == 0, done.output
        assert words in done.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("foo://ann:secret@bar/x", "ML_ASSETS_LEDGER: foo://ann:***@bar/x is not a database that is known here"),
        ("ledger.db", "ML_ASSETS_LEDGER: ledger.db:… is not a database that is known here"),
        (
            "postgresql+psycopg://ann:secret@127.0.0.1:1/x",
            "ML_ASSETS_LEDGER: postgresql+psycopg://ann:***@127.0.0.1:1/x cannot be opened",
        ),
    ],
)
def test_a_ledger_that_cannot_be_opened_is_named_without_its_password(folder: Path, url: str, message: str) -> None:
    error = ml_assets(folder, "status", "trains", ML_ASSETS_LEDGER=url)
    assert message in error
    assert "secret" not in error


@pytest.mark.long
def test_a_file_that_is_no_ledger_is_named(folder: Path) -> None:
    (folder / "damaged.db").write_bytes(b"not a database" * 100)
    error = ml_assets(folder, "status", "trains", ML_ASSETS_LEDGER=f"sqlite:///{folder}/damaged.db")
    assert "damaged.db cannot be opened: file is not a database; if the file is damaged, restore it from a copy" in error


@pytest.mark.long
def test_a_store_without_a_driver_is_named(folder: Path) -> None:
    error = ml_assets(folder, "plan", "trains", ML_ASSETS_STORE="bogus://bucket/x")
    assert "ML_ASSETS_STORE: bogus:// cannot be opened" in error


@pytest.mark.long
def test_a_home_that_cannot_be_made_is_named(folder: Path) -> None:
    assert "/proc/nope: No such file or directory" in ml_assets(folder, "status", "trains", ML_ASSETS_HOME="/proc/nope")


@pytest.mark.long
@pytest.mark.parametrize("command", ["plan", "status", "ci"])
def test_a_contract_that_is_no_python_is_named_by_its_line(tmp_path: Path, command: str) -> None:
    own = team(tmp_path)
    own.write("contract.py", "import polars as pl\n", "imp ort polars as pl\n")
    arguments = [command] if command == "ci" else [command, "trains"]
    environ = {"ML_ASSETS_PRODUCTS": str(own.root / "products")}
    if command == "ci":
        answer = own.ci()
        assert (answer.code, answer.report["outcome"]) == (1, "REJECT")
        assert "contract.py:3: is not Python: invalid syntax" in answer.report["problems"][0]
    else:
        assert "contract.py:3: is not Python: invalid syntax" in ml_assets(tmp_path, *arguments, **environ)


@pytest.mark.long
@pytest.mark.parametrize(("command", "key"), [("plan", "shop"), ("run", "shop"), ("plan", "")])
def test_a_product_that_cannot_run_is_refused_before_anything_runs(tmp_path: Path, command: str, key: str) -> None:
    BROKEN["an unknown slice"].write(tmp_path / "team" / "products")
    error = ml_assets(tmp_path, command, *([key] if key else []))
    assert "shop/product.yaml:20: evaluation.slices[0]: 'citty' is not a column of Features; did you mean 'city'?" in error


@pytest.mark.long
@pytest.mark.parametrize(("folder", "message"), [("nowhere", "nowhere is not a folder"), ("", "there is no product in")])
def test_a_folder_of_products_that_holds_none_is_named(tmp_path: Path, folder: str, message: str) -> None:
    assert message in ml_assets(tmp_path, "plan", ML_ASSETS_PRODUCTS=str(tmp_path / folder))


@pytest.mark.long
def test_a_change_after_which_a_product_cannot_run_is_rejected(tmp_path: Path) -> None:
    own = team(tmp_path)
    own.write("product.yaml", "label: is_late", "label: is_lat")
    answer = own.ci()
    assert (answer.code, answer.report["outcome"]) == (1, "REJECT")
    assert "features.label: " in answer.report["problems"][0]
    assert "did you mean 'is_late'?" in answer.report["problems"][0]


@pytest.mark.long
def test_a_code_location_serves_the_other_products_and_raises_an_alarm(tmp_path: Path) -> None:
    BROKEN["a datetime among the features"].write(tmp_path / "broken")
    folders = os.pathsep.join([str(tmp_path / "broken"), str(SHOP.parent)])
    environ = os.environ | {"ML_ASSETS_HOME": str(tmp_path / "home"), "ML_ASSETS_PRODUCTS": folders}
    command = [sys.executable, "-c", DEFINITIONS]
    served = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert "refused_products" in served.stdout
    assert "shop_new_data temperature_" not in served.stdout
    assert "temperature_new_data" in served.stdout
    validated = environ | {"DAGSTER_IS_DEFS_VALIDATION_CLI": "1"}
    refused = subprocess.run(command, env=validated, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "contract.py:" in refused.stderr
    assert "feature 'hour' is Datetime" in refused.stderr
