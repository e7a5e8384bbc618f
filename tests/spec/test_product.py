"""A product folder is either loaded whole or refused with every mistake named."""

import json
from pathlib import Path

import pytest

from ml_assets.spec.product import Product, ProductError, load, load_all, schema

SPEC = """\
name: trains
title: Will this train be late?
task: binary
partitions: {every: month, start: 2013-01, end: 2014-01}
delivery:
  tables:
    trips: {format: csv, null_values: [NA, ""], time: departs_at}
  reference:
    stops: {format: parquet}
features: {lookback: 1, key: [trip_id], time: scheduled_at, label: is_late}
window: {train: 12, test: 1, minimum: 1}
model:
  iterations: 100
  learning_rate: 0.1
  depth: 6
  seed: 7
  threads: 2
  params: {border_count: 64}
decision: {threshold: 0.3}
evaluation: {slices: [line], interval: 0.95}
gates:
  unit: day
  claims:
    - {name: not_worse, prove: roc_auc(candidate) - roc_auc(champion) > -0.005}
    - {name: floor, prove: roc_auc(candidate) > 0.6}
endpoint: {host: 127.0.0.1, port: 8810, smoke_rows: 200}
monitoring: {score_psi: 0.25, column_psi: 0.25, metric: roc_auc, max_drop: 0.05}
"""
CONTRACT = """\
from datetime import datetime
import pandera.polars as pa

class Trips(pa.DataFrameModel):
    trip_id: int
    departs_at: datetime

class Stops(pa.DataFrameModel):
    stop: str

TABLES = {"trips": Trips, "stops": Stops}
Request = Features = Stops
"""


def folder(tmp_path: Path, *, spec: str = SPEC, contract: str | None = CONTRACT, name: str = "trains") -> Path:
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "product.yaml").write_text(spec, encoding="utf-8")
    if contract is not None:
        (tmp_path / name / "contract.py").write_text(contract, encoding="utf-8")
    return tmp_path / name


def refusal(tmp_path: Path, *, old: str, new: str) -> str:
    """The one problem that a changed spec has, without the folder in front."""
    assert SPEC.count(old) == 1
    with pytest.raises(ProductError) as caught:
        load(folder(tmp_path, spec=SPEC.replace(old, new)))
    assert len(caught.value.problems) == 1, caught.value
    return caught.value.problems[0].split("product.yaml:")[1]


def test_a_product_has_what_its_file_says(tmp_path: Path) -> None:
    product = load(folder(tmp_path))
    assert (product.name, product.task, product.folder) == ("trains", "binary", (tmp_path / "trains").resolve())
    assert product.partitions.start == "2013-01"
    assert product.delivery.tables["trips"].null_values == ("NA", "")
    assert product.tables == ("trips", "stops")
    assert (product.gates.claims[1].form.constant, product.gates.first_claims) == (0.6, ("floor",))
    assert product.table("stops").format == "parquet"


def test_a_section_is_plain_json_content_with_its_defaults(tmp_path: Path) -> None:
    section = load(folder(tmp_path, spec=SPEC.replace(", interval: 0.95", ""))).section("evaluation", "decision")
    assert section == {"evaluation": {"slices": ["line"], "interval": 0.95}, "decision": {"threshold": 0.3}}


def test_one_key_of_a_section_is_a_section_without_the_others(tmp_path: Path) -> None:
    product = load(folder(tmp_path))
    assert product.section("task", "endpoint.port") == {"task": "binary", "endpoint": {"port": 8810}}


@pytest.mark.parametrize(("name", "meant"), [("windows", "window"), ("windows.train", "window"), ("endpoint.prot", "port")])
def test_a_section_or_key_that_does_not_exist_is_refused(tmp_path: Path, name: str, meant: str) -> None:
    with pytest.raises(ProductError, match=f"did you mean '{meant}'"):
        load(folder(tmp_path)).section(name)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("slices: [line]", "slice: [line]", "20: evaluation.slice: unknown key; did you mean 'slices'? allowed: interval"),
        ("name: floor, prove", "name: floor, proof: x, prove", "25: gates.claims[1].proof: unknown key; did you mean 'prove'?"),
        ("threads: 2", "threads: 2\n  l2_leaf_reg: 9", "model.l2_leaf_reg: write it as `params: {l2_leaf_reg: …}`"),
        ("  seed: 7\n", "", "12: model.seed: the key is missing; its section takes: depth, iterations, learning_rate"),
        ("iterations: 100", "iterations: '100'", '13: model.iterations: input should be a valid integer; found "100"'),
        ("every: month", "every: decade", "4: partitions.every: input should be 'hour', 'day', 'week', 'month', 'quarter', 'year' or"),  # noqa: E501
        ("start: 2013-01,", "start: 2013-1,", "4: partitions.start: '2013-1' is not the key of a partition by month; a good one is 2013-01"),  # noqa: E501
        ("end: 2014-01", "end: 2012-01", "4: partitions: end 2012-01 (exclusive) must be after start 2013-01"),
        ("minimum: 1}", "minimum: 13}", "11: window: minimum 13 is more than train 12"),
        ("> -0.005", "> -0.005, veto: brier(candidate) < 1", "24: gates.claims[0]: claim 'not_worse' needs exactly one of prove, veto"),  # noqa: E501
        (", prove: roc_auc(candidate) > 0.6", "", "found none"),
        ("roc_auc(champion)", "roc_aux(champion)", "24: gates.claims[0]: prove: 'roc_aux' is not a metric of a binary task; did you mean 'roc_auc'?"),  # noqa: E501
        ("> 0.6", "> 0.6 or 1", "25: gates.claims[1]: prove: at position 25 of 'roc_auc(candidate) > 0.6 or 1': one comparison"),
        ("floor, prove", "floor, veto", "21: gates: a first release would prove nothing"),
        ("unit: day", "unit: day\n  budget: {looks: 2, ships: 3}", "23: gates.budget: ships 3 is more than looks 2"),
        ("metric: roc_auc, max_drop", "metric: rmse, max_drop", "27: monitoring.metric: is not a metric of a binary task; allowed: roc_auc, pr_auc"),  # noqa: E501
        ("name: floor", "name: not_worse", "23: gates.claims: claim names must differ; found twice: not_worse"),
        ("trips: {", "trip-s: {", "7: delivery.tables.trip-s:"),
        ("stops: {", "partition: {", "5: delivery: partition: the name is taken"),
        ("stops: {format: parquet}", "trips: {format: parquet}", "trips: a table is either under tables or under reference"),
        ("key: [trip_id]", "key: []", "10: features.key: tuple should have at least 1 item"),
        ("border_count: 64", "thread_count: 64", "18: model.params.thread_count: set this as iterations"),
        ("smoke_rows: 200", "unknown_categories: {stop: drop}", "26: endpoint.unknown_categories.stop: input should be 'refuse' or 'score'"),  # noqa: E501
        ("threads: 2", "threads: 2\n  seed: 8", "18: model.seed: the key is given twice"),
        ("learning_rate: 0.1", "learning_rate: .nan", "14: model.learning_rate:"),
        ("name: trains", "name: planes", "name: 'planes' must be the name of its folder, 'trains'"),
        ("title: Will", "title: [Will", "is not YAML"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_line_path_and_what_is_allowed(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in refusal(tmp_path, old=old, new=new)


def test_a_regression_has_no_decision_and_its_own_metrics(tmp_path: Path) -> None:
    with pytest.raises(ProductError) as caught:
        load(folder(tmp_path, spec=SPEC.replace("task: binary", "task: regression")))
    paths = [problem.split(": ")[1] for problem in caught.value.problems]
    assert paths == ["decision", "gates.claims[0]", "gates.claims[1]", "monitoring.metric"]


CLASSES = (
    SPEC.replace("task: binary", "task: multiclass")
    .replace("label: is_late}", "label: is_late, classes: [early, on time, late]}")
    .replace("decision: {threshold: 0.3}\n", "")
    .replace("  unit: day\n", "  unit: day\n  minimum: {units: 20, per_class: 10}\n")
    .replace("roc_auc(candidate) - roc_auc(champion) > -0.005", "log_loss(candidate) - log_loss(champion) < 0.005")
    .replace("roc_auc(candidate) > 0.6", '"disagreement(candidate, champion) < 0.5"')
    .replace("metric: roc_auc", "metric: macro_f1")
    .replace("name: floor, prove", "name: stable, veto")
    .replace("  claims:\n", "  claims:\n    - {name: floor, prove: macro_auc(candidate) > 0.6}\n")
)


def test_a_label_of_several_classes_has_them_in_order_and_its_own_metrics(tmp_path: Path) -> None:
    product = load(folder(tmp_path, spec=CLASSES))
    assert product.features.class_names == ("early", "on time", "late")
    assert product.gates.minimum.per_class == 10
    numbers = CLASSES.replace("[early, on time, late]", "[0, 1, 2]")
    assert load(folder(tmp_path / "numbers", spec=numbers)).features.class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (", classes: [early, on time, late]", "", "features: classes: task: multiclass needs 3 classes or more"),
        ("[early, on time, late]", "[early, late]", "needs 3 classes or more, in their order; found early, late"),
        ("[early, on time, late]", "[early, late, late]", "classes: names must differ; found twice: late"),
        ("[early, on time, late]", "[1, '1', 2]", "found twice: 1"),
        ("[early, on time, late]", "[early, on time, 2.5]", "features.classes"),
        ("classes: [early", "positive: late, classes: [early", "positive: no class is the yes"),
        ("task: multiclass", "task: binary", "classes: only a label of several classes has them"),
        ("evaluation:", "decision: {threshold: 0.5}\nevaluation:", "a multiclass has no decision threshold"),
        ("per_class: 10", "positives: 10", "positives: a multiclass task has none; allowed: units, per_class"),
        ("macro_auc(candidate)", "roc_auc(candidate)", "'roc_auc' is not a metric of a multiclass task"),
        ("border_count: 64", "scale_pos_weight: 2", "weighs the yes of a binary label; write class_weights"),
        ("border_count: 64", "classes_count: 3", "follows from features.classes"),
        ("max_drop: 0.05", "max_drop: 0.05, value: {true_positive: 1}", "of a multiclass task say matrix"),
        ("max_drop: 0.05", "max_drop: 0.05, value: {matrix: [[1, 0], [0, 1]]}", "has 2 rows; features.classes has 3 classes"),
        ("max_drop: 0.05", "max_drop: 0.05, value: {matrix: [[1, 0, 0], [0, 1]]}", "2 outcomes need 2 numbers in each row"),
        ("max_drop: 0.05", "max_drop: 0.05, value: {matrix: [[1, 1, 1], [0, 0, 0], [2, 2, 2]]}", "is worth the same"),
    ],
)  # fmt: skip
def test_a_mistake_about_classes_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in CLASSES
    with pytest.raises(ProductError) as caught:
        load(folder(tmp_path, spec=CLASSES.replace(old, new)))
    assert message in str(caught.value)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    spec = SPEC.replace("depth: 6", "depth: 60").replace("train: 12", "train: 0").replace("port: 8810", "prot: 8810")
    with pytest.raises(ProductError) as caught:
        load(folder(tmp_path, spec=spec))
    assert [problem.split("product.yaml:")[1].split(": ")[1] for problem in caught.value.problems] == [
        "window.train", "model.depth", "endpoint.port", "endpoint.prot",
    ]  # fmt: skip


@pytest.mark.parametrize("spec", ["", "- a list", "just text", "1: 2"])
def test_a_file_that_is_no_mapping_of_sections_is_refused(tmp_path: Path, spec: str) -> None:
    with pytest.raises(ProductError, match=r"product\.yaml:1"):
        load(folder(tmp_path, spec=spec))


def test_a_folder_without_a_spec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="cannot be read"):
        load(tmp_path)


def test_every_folder_with_a_spec_is_a_product(tmp_path: Path) -> None:
    folder(tmp_path)
    folder(tmp_path, name="buses", spec=SPEC.replace("name: trains", "name: buses"))
    (tmp_path / "notes").mkdir()
    assert list(load_all([tmp_path])) == ["buses", "trains"]


def test_the_mistakes_of_all_products_are_told_at_once(tmp_path: Path) -> None:
    folder(tmp_path / "one", spec=SPEC.replace("depth: 6", "depth: 60"))
    folder(tmp_path / "two")
    folder(tmp_path / "three")
    with pytest.raises(ProductError) as caught:
        load_all([tmp_path / "one", tmp_path / "two", tmp_path / "three"])
    assert len(caught.value.problems) == 2
    assert "model.depth" in caught.value.problems[0]
    assert "'trains' is taken by" in caught.value.problems[1]


def test_a_contract_is_imported_once(tmp_path: Path) -> None:
    product = load(folder(tmp_path))
    assert list(product.contract.TABLES) == ["trips", "stops"]
    assert load(product.folder).contract is product.contract


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (None, "contract.py: the file is missing; the contract of 'trains' declares"),
        ("import nothing_like_this", "cannot be imported: ModuleNotFoundError"),
        ("TABLES = {}", "Request is missing"),
        (CONTRACT.replace('"stops": Stops', ""), "yaml:9: delivery.reference.stops: table 'stops' has no contract in TABLES"),
        (CONTRACT.replace('"stops": Stops', '"stops": Stops, "stop": Stops'), r"TABLES\['stop'\] is not a table of product.yaml; did you mean 'stops'"),  # noqa: E501
        (CONTRACT.replace("departs_at:", "depart_at:"), "lacks the time column 'departs_at'; did you mean 'depart_at'"),
        (CONTRACT.replace("Features = Stops", "Features = 3"), "Features is not a pandera DataFrameModel"),
    ],
)  # fmt: skip
def test_a_contract_that_cannot_be_used_is_refused(tmp_path: Path, contract: str | None, message: str) -> None:
    product: Product = load(folder(tmp_path, contract=contract))
    with pytest.raises(ProductError, match=message):
        _ = product.contract


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("stopp", "'stopp' is not a column of Request; did you mean 'stop'? allowed: platform, stop"),
        ("height", "'height' holds Float64, not text or whole numbers; allowed: platform, stop"),
        ("departs_at", "'departs_at' holds Datetime"),
        ("is_open", "'is_open' holds Boolean"),
    ],
)
def test_a_policy_for_categories_needs_a_request_column_that_holds_them(tmp_path: Path, column: str, message: str) -> None:
    fields = "stop: str\n    platform: int\n    height: float\n    departs_at: datetime\n    is_open: bool"
    spec = SPEC.replace("smoke_rows: 200", f"unknown_categories: {{stop: refuse, platform: score, {column}: score}}")
    product = load(folder(tmp_path, spec=spec, contract=CONTRACT.replace("stop: str", fields)))
    with pytest.raises(ProductError) as caught:
        _ = product.contract
    (problem,) = caught.value.problems
    assert problem.startswith(f"{product.folder / 'product.yaml'}:26: endpoint.unknown_categories.{column}: ")
    assert message in problem


def test_the_schema_for_editors_is_that_of_the_code_and_takes_the_product() -> None:
    folder = Path(__file__).parents[2] / "ml_assets" / "products"
    written = json.loads((folder / "product.schema.json").read_text())
    assert written == schema()
    spec = (folder / "flights" / "product.yaml").read_text()
    assert (folder / "flights" / spec.splitlines()[0].partition("$schema=")[2]).resolve() == folder / "product.schema.json"


def test_a_weight_comes_with_the_derived_labels_and_is_no_input_of_the_model(tmp_path: Path) -> None:
    table = "class Trips(pa.DataFrameModel):\n    trip_id: int\n    departs_at: datetime\n    distance: float\n    count: int\n"
    label = '    is_late: int = pa.Field(metadata={"known": "after"})\n'
    contract = f'from datetime import datetime\nimport pandera.polars as pa\n\n{table}{label}\nTABLES = {{"trips": Trips}}\n'
    spec = SPEC.replace("label: is_late", "label: is_late, weight: count").replace("time: scheduled_at", "time: departs_at")
    spec = (
        spec.replace("  reference:\n    stops: {format: parquet}\n", "")
        .replace("slices: [line], ", "")
        .replace("lookback: 1, ", "")
    )
    product = load(folder(tmp_path, spec=spec, contract=contract))
    assert 'delivered."is_late", delivered."count"' in product.dbt["trains_labels.sql"].decode()
    assert "count" not in product.contract.Request.to_schema().columns
    assert list(product.contract.Features.to_schema().columns) == ["trip_id", "departs_at", "distance"]
