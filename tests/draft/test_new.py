"""`ml-assets new`, `demo` and `serve` on data that is not flights: from a file to a served prediction, with no line written.

Temperatures by hour are those of the tutorial (test_tutorial.py)."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.spec.product import load
from tests.support.drafted_tables import tables
from tests.support.odd_tables import ODD, TYPED, drafted_odd, hint, ml_assets


def packaged(name: str) -> str:
    """A table of the package vega_datasets."""
    spec = find_spec("vega_datasets")
    assert spec
    assert spec.origin
    return str(Path(spec.origin).parent / "_data" / name)


def served(folder: Path, name: str) -> dict[str, object]:
    """What `curl` gets for the request that `new` wrote, from the server of the product."""
    environ = {"ML_ASSETS_HOME": str(folder / "home"), "ML_ASSETS_PRODUCTS": str(folder / "products")}
    request = folder / "home" / "history" / name / "request.json"
    with ServerProcess([sys.executable, "-m", "ml_assets", "serve", name], environ=environ) as server:
        command = ["curl", "-sS", f"{server.base_url}/predict", "-d", f"@{request}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    answer: dict[str, object] = json.loads(done.stdout)["predictions"][0]
    return answer


def replayed(folder: Path, name: str, *arguments: str) -> str:
    """What `new` and `demo` print."""
    drafted = ml_assets(folder, "new", name, *arguments)
    assert drafted.exit_code == 0, drafted.output
    assert f"ml-assets demo {name}" in drafted.output
    assert f"ml-assets serve {name}" in drafted.output
    return drafted.output


def first_release(drafted: str) -> list[int]:
    """The number of the delivery with which `new` says that the first release comes; none where it says so."""
    return [int(number) for number in re.findall(r"release   the first with .*delivery (\d+)", drafted)]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_file_of_weather_by_day_becomes_a_served_prediction(tmp_path: Path) -> None:
    arguments = [packaged("seattle-weather.csv"), "--label", "weather", "--positive", "sun"]
    drafted = replayed(tmp_path, "sunny", *arguments)
    (number,) = first_release(drafted)
    assert number <= 12
    shown = ml_assets(tmp_path, "demo", "sunny", "--partitions", str(number))
    assert shown.exit_code == 0, shown.output
    assert "ACCEPT" in shown.output
    probability = served(tmp_path, "sunny")["probability"]
    assert isinstance(probability, float)
    assert 0 < probability < 1


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_table_without_a_time_becomes_a_served_prediction(tmp_path: Path) -> None:
    spec = find_spec("statsmodels")
    assert spec
    assert spec.origin
    file = Path(spec.origin).parent / "datasets" / "modechoice" / "modechoice.csv"
    replayed(tmp_path, "modes", str(file), "--label", "choice", "--group", "individual")
    shown = ml_assets(tmp_path, "demo", "modes")
    assert shown.exit_code == 0, shown.output
    assert "ACCEPT" in shown.output
    assert isinstance(served(tmp_path, "modes")["probability"], float)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [table.name for table in tables(0)])
def test_a_generated_table_goes_down_the_path_and_is_served_where_its_gates_decide(name: str, tmp_path: Path) -> None:
    (table,) = [table for table in tables(11) if table.name == name]
    drafted = replayed(tmp_path, name, str(table.file(tmp_path / "source")), "--label", table.label, *table.options)
    product = load(tmp_path / "products" / name)
    number = next(iter(first_release(drafted)), product.window.minimum + product.window.test)
    shown = ml_assets(tmp_path, "demo", name, "--partitions", str(number))
    assert shown.exit_code == 0, shown.output
    if first_release(drafted):
        assert "ACCEPT" in shown.output
        answer = served(tmp_path, name)
        assert isinstance(answer["probability" if product.task == "binary" else "value"], float)
    else:
        assert "INCONCLUSIVE" in shown.output


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_table_of_several_classes_becomes_a_served_prediction(tmp_path: Path) -> None:
    spec = find_spec("statsmodels")
    assert spec
    assert spec.origin
    file = Path(spec.origin).parent / "datasets" / "fair" / "fair.csv"
    drafted = replayed(tmp_path, "marriage", str(file), "--label", "rate_marriage")
    assert "multiclass, label rate_marriage, 5 classes: 1, 2, 3, 4, 5" in drafted
    shown = ml_assets(tmp_path, "demo", "marriage")
    assert shown.exit_code == 0, shown.output
    assert "ACCEPT" in shown.output
    answer = served(tmp_path, "marriage")
    probabilities = answer["probabilities"]
    assert isinstance(probabilities, dict)
    assert list(probabilities) == ["1", "2", "3", "4", "5"]
    assert sum(probabilities.values()) == pytest.approx(1)
    assert answer["class"] == max(probabilities, key=lambda name: probabilities[name])
    explained = ml_assets(tmp_path, "explain", str(answer["id"]))
    assert f"gave {answer['class']} the probability {probabilities[answer['class']]}" in explained.output
    verified = ml_assets(tmp_path, "verify")
    assert "1 verdicts: everything is as it was written" in verified.output, verified.output
    mutants = ml_assets(tmp_path, "gates", "mutate", "marriage")
    assert "inverted scores          beats_simple, ceiling" in mutants.output


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", [*ODD, *TYPED])
def test_odd_columns_are_served(name: str, kind: str, tmp_path: Path) -> None:
    """With a column that tells the label a little, so that a candidate is accepted."""
    columns = {**{**ODD, **TYPED}[name], "hint": hint()}
    drafted = drafted_odd(tmp_path, kind, columns, "--every", "week", "--time", "asked at")
    assert drafted.exit_code == 0, drafted.output
    shown = ml_assets(tmp_path, "demo", "odd")
    assert shown.exit_code == 0, shown.output
    assert "ACCEPT" in shown.output, shown.output
    assert isinstance(served(tmp_path, "odd")["probability"], float)
