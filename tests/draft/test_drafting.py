"""What a draft decides: keys, outcomes, dialects, deliveries and gates, told from tables that have them."""

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from datetime import time as time_of_day
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
import sqlalchemy

from ml_assets.core.draft.columns import plain_name
from ml_assets.core.draft.contract_text import contract_text
from ml_assets.core.draft.draft import Draft
from ml_assets.core.draft.drafting import drafted
from ml_assets.core.draft.request import DraftRefused, DraftRequest
from ml_assets.services.new_product.sources import read_sources
from ml_assets.services.runnable_products import problems
from ml_assets.spec.product import Product, load
from tests.support.drafted_tables import Table, tables
from tests.support.odd_tables import ODD, drafted_odd, ml_assets

TABLES = {table.name: table for table in tables(5)}


def draft_of(table: Table, folder: Path, **options_now: object) -> Draft:
    source = read_sources([str(table.file(folder))], query=None)
    options = dict(zip(table.options[::2], table.options[1::2], strict=True))
    every = {name.removeprefix("--"): value for name, value in options.items()}
    wanted = DraftRequest(name=table.name, label=table.label, **{**every, **options_now})  # type: ignore[arg-type]
    return drafted(source.frame, source.spec, wanted, table=source.table)


@pytest.mark.parametrize(
    ("name", "field", "is_counted"),
    [
        ("churn", "customer_id", False),
        ("loads", "loads_id", False),
        ("orders", "orders_id", True),
        ("sensors", "sensors_id", False),
    ],
)
def test_the_key_is_a_unique_column_or_time_or_group_and_time_or_a_digest(
    name: str, field: str, is_counted: bool, tmp_path: Path
) -> None:
    key = draft_of(TABLES[name], tmp_path).roles.key
    assert (key.field, key.is_counted) == (field, is_counted)


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("churn", {"closed_reason": "tells churned"}),
        ("sensors", {"part_a": "is a sum of part_a, part_b", "part_b": "is a sum of part_a, part_b"}),
        ("rides", {"dropoff": "later than pickup in 100.0% of rows"}),
        ("loans", {"recovered": "tells defaulted"}),
        ("visits", {}),
        ("yields", {}),
    ],
)
def test_columns_that_nobody_can_know_before_are_outcomes_and_named(name: str, outcomes: dict[str, str], tmp_path: Path) -> None:
    draft = draft_of(TABLES[name], tmp_path)
    assert set(draft.roles.after) == set(outcomes)
    for column, reason in outcomes.items():
        assert reason in draft.roles.after[column]
        assert column not in {column.name for column in draft.roles.inputs}
        assert "taken for an outcome" in contract_text(draft)


def test_a_column_is_an_input_again_where_a_person_says_that_it_is_known(tmp_path: Path) -> None:
    draft = draft_of(TABLES["churn"], tmp_path, known=("closed_reason",))
    assert "closed_reason" in {column.name for column in draft.roles.inputs}
    assert "seats" in draft_of(TABLES["churn"], tmp_path, after=("seats",)).roles.after


def test_a_column_that_tells_unusually_much_is_named_and_stays(tmp_path: Path) -> None:
    (rides,) = [table for table in tables(1) if table.name == "rides"]
    draft = draft_of(rides, tmp_path)
    assert [column.column for column in draft.suspicious] == ["km"]
    assert "km" in {column.name for column in draft.roles.inputs}


def test_the_dialect_of_a_file_is_told_from_its_bytes(tmp_path: Path) -> None:
    spec = draft_of(TABLES["loads"], tmp_path).spec
    assert (spec.separator, spec.decimal, spec.encoding, spec.datetime_format) == (";", ",", "cp1252", "%d.%m.%Y %H:%M")
    assert draft_of(TABLES["visits"], tmp_path).spec.separator == "\t"
    assert "?" in draft_of(TABLES["churn"], tmp_path).spec.null_values


def test_what_looks_like_a_number_and_is_a_name_stays_text(tmp_path: Path) -> None:
    draft = draft_of(TABLES["orders"], tmp_path)
    assert draft.columns["zip"].kind == "text"
    assert "names rows" in draft.roles.unused["zip"]


def test_an_unfinished_last_week_is_left_out_and_named(tmp_path: Path) -> None:
    draft = draft_of(TABLES["prices"], tmp_path)
    assert "2024-01-01" not in draft.history.keys
    assert any("2024-01-01, the last week" in note and "left out as unfinished" in note for note in draft.notes)


def test_each_limit_stands_below_the_share_of_rows_behind_it(tmp_path: Path) -> None:
    lines = contract_text(draft_of(TABLES["churn"], tmp_path)).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("    spent: float"))
    assert "all rows within the limits" in lines[place - 1] + lines[place - 2]
    assert "missing in" in lines[place - 1] + lines[place - 2]


def test_a_table_without_a_time_is_divided_by_its_key_and_its_group_stays_together(tmp_path: Path) -> None:
    spec = find_spec("statsmodels")
    assert spec
    assert spec.origin
    file = Path(spec.origin).parent / "datasets" / "modechoice" / "modechoice.csv"
    done = ml_assets(tmp_path, "new", "modes", str(file), "--label", "choice", "--group", "individual")
    assert "none: each delivery is the whole table; one fold by the key" in done.output
    product = load(tmp_path / "products" / "modes")
    assert product.partitions.is_static
    assert product.split.group == product.gates.unit == "individual"
    assert product.features.key == ("individual", "modes_id")
    sizes = [len(content.splitlines()) - 1 for content in history(tmp_path, "modes", "modechoice")]
    assert sizes == [756, 840], "the second delivery has the tenth of the rows that the first lacks"


def history(folder: Path, name: str, table: str) -> list[bytes]:
    return [file.read_bytes() for file in sorted((folder / "home" / "history" / name / table).iterdir())]


def drafted_from(folder: Path, source: str, query: str) -> Product:
    done = ml_assets(folder, "new", "orders", source, "--query", query, "--label", "returned")
    assert done.exit_code == 0, done.output
    return load(folder / "products" / "orders")


def test_a_query_on_sqlalchemys_databases_and_on_duckdb_gives_the_rows(tmp_path: Path) -> None:
    frame = TABLES["orders"].frame.head(2000)
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sqlalchemy.text("create table orders (placed timestamp, amount real, items int, express int, returned int)")
        )
        rows = [{**row, "placed": row["placed"].isoformat(" "), "express": int(row["express"])} for row in frame.to_dicts()]
        connection.execute(sqlalchemy.text("insert into orders values (:placed, :amount, :items, :express, :returned)"), rows)
    engine.dispose()
    with closing(duckdb.connect(str(tmp_path / "shop.duckdb"))) as database:
        database.register("frame", frame.to_arrow())
        database.execute("create table orders as select * from frame")
    bounds = "where {0} >= :start and {0} < :end"
    for place, time in ((f"duckdb:///{tmp_path / 'shop.duckdb'}", '"placed"'), (url, "datetime(placed)")):
        product = drafted_from(tmp_path / time, place, "select * from orders where items > 1;")
        source = product.sources["records"]
        assert (product.delivery.tables["records"].format, source.database) == ("parquet", place)
        assert source.sql.splitlines()[1:] == ["select * from orders where items > 1", ") as delivered", bounds.format(time)]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", ODD)
def test_odd_columns_are_drafted_into_a_product_that_can_run(name: str, kind: str, tmp_path: Path) -> None:
    done = drafted_odd(tmp_path, kind, ODD[name])
    assert done.exit_code == 0, done.output
    assert problems(load(tmp_path / "products" / "odd")) == []


@pytest.mark.parametrize(
    ("column", "name"),
    [("Straße", "strasse"), ("Größe (m²)", "grosse_m2"), ("价格", "jie_ge"), ("цена", "tsena"), ("ÅR", "ar"), ("🙂", "")],
)
def test_a_column_has_the_latin_name_that_is_nearest_to_its_own(column: str, name: str) -> None:
    assert plain_name(column) == name


def test_several_files_are_a_table_with_the_name_that_they_share(tmp_path: Path) -> None:
    start = datetime(2024, 1, 1)
    for part in range(3):
        rows = range(part * 100, part * 100 + 100)
        when = [(start + timedelta(hours=3 * n)).isoformat() for n in rows]
        frame = pl.DataFrame({"asked": when, "amount": [float(n % 7) for n in rows], "bad": [int(n % 3 == 0) for n in rows]})
        frame.write_csv(tmp_path / f"Aufträge_{part + 1}.csv")
    done = ml_assets(tmp_path, "new", "odd", *(str(path) for path in sorted(tmp_path.glob("*.csv"))), "--label", "bad")
    assert done.exit_code == 0, done.output
    assert list(load(tmp_path / "products" / "odd").delivery.tables) == ["auftrage"]


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["orders_1", "orders_12"], "orders"), (["orders1", "orders2"], "orders"), (["orders", "orders_late"], "orders"),
        (["orders_2024_jan", "orders_2024_jul"], "orders"), (["orders_2024-01", "orders_2024-12"], "orders"),
        (["january", "july"], "january"),
        (["2024-01", "2024-02"], "records"),
        (["orders", "old_orders"], "orders"), (["Straße 1", "Straße 2"], "strasse"),
    ],
)  # fmt: skip
def test_a_table_has_the_words_that_its_files_share(files: list[str], name: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{file}.csv" for file in files]
    for path in paths:
        path.write_text("asked,amount\n2024-01-01,1\n")
    assert read_sources([str(path) for path in paths], query=None).table == name


UNHELD = {
    "tags": [["a"], []] * 150,
    "place": [{"x": 1, "y": 2}, None] * 150,
    "took": [timedelta(minutes=5)] * 300,
    "clock": [time_of_day(12, 30), None] * 150,
    "blob": [b"x"] * 300,
    "endless": [float("inf"), None] * 150,
}


def test_columns_that_no_contract_can_hold_are_left_out_and_named(tmp_path: Path) -> None:
    done = drafted_odd(tmp_path, "parquet", UNHELD | {"amount": [0.5, 1.5] * 150})
    assert done.exit_code == 0, done.output
    assert "the contract leaves out tags (List(String)), place (Struct(" in done.output
    product = load(tmp_path / "products" / "odd")
    assert problems(product) == []
    assert not set(product.contract.TABLES["odd"].to_schema().columns) & UNHELD.keys()


@pytest.mark.parametrize("columns", [ODD["many digits"], UNHELD | {"amount": [0.5, 1.5] * 150}])
def test_odd_columns_go_down_the_path_to_features(columns: Mapping[str, object], tmp_path: Path) -> None:
    assert drafted_odd(tmp_path, "parquet", columns).exit_code == 0
    done = ml_assets(tmp_path, "demo", "odd", "--partitions", "1")
    assert done.exit_code == 0, done.output
    assert "failed" not in done.output


@pytest.mark.parametrize("options", [("--group", "tags"), ("--known", "took"), ("--key", "blob")])
def test_a_column_that_no_contract_can_hold_has_no_role(options: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(DraftRefused, match=f"{options[0]} {options[1]}: it holds "):
        drafted_odd(tmp_path, "parquet", UNHELD, *options)


def test_a_time_may_be_seconds_since_1970(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"at": [1_704_067_200 + 10_800 * n for n in range(300)], "a": [1, 2, 3] * 100, "y": [0, 1, 1, 0, 0] * 60}
    )
    frame.write_csv(tmp_path / "epochs.csv")
    done = ml_assets(
        tmp_path, "new", "epochs", str(tmp_path / "epochs.csv"), "--label", "y", "--time", "at", "--time-format", "epoch_s"
    )
    assert "at; 38 deliveries by day, 2024-01-01 to 2024-02-07" in done.output, done.output


def test_a_folder_of_files_is_one_table(tmp_path: Path) -> None:
    frame = pl.read_csv(TABLES["churn"].file(tmp_path), infer_schema=False)
    folder = tmp_path / "by_half"
    folder.mkdir()
    frame.head(1000).write_csv(folder / "a.csv")
    frame.tail(-1000).write_csv(folder / "b.csv")
    assert read_sources([str(folder)], query=None).frame.equals(frame)


def test_columns_of_several_files_may_stand_in_another_order(tmp_path: Path) -> None:
    first, second = pl.DataFrame({"a": ["1"], "b": ["x"]}), pl.DataFrame({"b": ["y"], "a": ["2"]})
    for number, frame in enumerate((first, second)):
        frame.write_csv(tmp_path / f"rows_{number}.csv")
    assert read_sources([str(tmp_path)], query=None).frame.rows() == [("1", "x"), ("2", "y")]
    second.rename({"b": "c"}).write_csv(tmp_path / "rows_1.csv")
    with pytest.raises(DraftRefused, match=r"rows_1.csv has other columns than \S+rows_0.csv: b, c; all files are one table"):
        read_sources([str(tmp_path)], query=None)


def classified(folder: Path, labels: list[object]) -> Path:
    """A file of rows with a column for the label, one column that tells it, and one that doesn't."""
    random = np.random.default_rng(2)
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    x = [numbers[label] + float(random.normal(0, 0.7)) for label in labels]
    frame = pl.DataFrame({"x": x, "noise": random.normal(0, 1, len(labels)), "kind": labels})
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_csv(folder / "rows.csv")
    return folder / "rows.csv"


def classes_of(file: Path, **options: object) -> Draft:
    source = read_sources([str(file)], query=None)
    return drafted(source.frame, source.spec, DraftRequest(name="kinds", label="kind", **options), table=source.table)  # type: ignore[arg-type]


def test_a_label_of_3_to_20_texts_or_whole_numbers_is_one_of_several_classes(tmp_path: Path) -> None:
    texts = classes_of(classified(tmp_path / "texts", ["late", "early", "on time"] * 100))
    assert (texts.roles.task, texts.roles.classes) == ("multiclass", ("early", "late", "on time"))
    assert texts.limits["kind"].arguments["isin"] == '["early", "late", "on time"]'
    numbers = classified(tmp_path / "numbers", [3, 1, 7] * 100)
    assert classes_of(numbers).roles.classes == (1, 3, 7)
    assert classes_of(numbers).roles.target.to_list()[:3] == [1.0, 0.0, 2.0]
    assert classes_of(numbers, task="regression").roles.task == "regression"
    assert classes_of(classified(tmp_path / "many", [*range(21)] * 20)).roles.task == "regression"
    assert classes_of(classified(tmp_path / "two", ["a", "b"] * 100)).roles.task == "binary"


@pytest.mark.parametrize(
    ("values", "positive"),
    [([1, 2], "1"), ([-1, 1], "1"), ([3, 4], "4"), ([0, 100], "100"), ([1.0, 2.0, None], "1.0"), ([0, 1], None)],
)
def test_a_label_of_two_whole_numbers_is_a_yes_or_no(values: list[float | None], positive: str | None, tmp_path: Path) -> None:
    """1 is the yes, as most code books have it; where it is not among them, the rarer one."""
    labels = [values[0]] * 60 + [values[1]] * 40 + values * 5
    frame = pl.DataFrame(
        {"x": range(len(labels)), "z": [1.5, 2.5] * (len(labels) // 2) + [0.5] * (len(labels) % 2), "kind": labels}
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    draft = classes_of(tmp_path / "rows.parquet")
    assert (draft.roles.task, draft.roles.positive) == ("binary", positive)
    if positive:
        assert classes_of(tmp_path / "rows.parquet", task="regression").roles.task == "regression"
        assert classes_of(tmp_path / "rows.parquet", positive=positive).roles.positive == positive


def test_a_column_that_tells_the_classes_too_well_is_an_outcome(tmp_path: Path) -> None:
    file = classified(tmp_path, ["late", "early", "on time"] * 100)
    pl.read_csv(file).with_columns(code=pl.col("kind").rank("dense")).write_csv(file)
    assert "tells kind" in classes_of(file).roles.after["code"]
    assert "noise" not in classes_of(file).roles.after
