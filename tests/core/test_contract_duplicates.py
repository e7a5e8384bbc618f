"""Of identical rows one is kept; rows with one key and different values all go to quarantine."""

import random
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.contract.engine import DeliveryAudit, audit
from ml_assets.spec.product import Product
from tests.support.trains import audited, product_in, reasons, trips

STOPS = """\
    stop: str = pa.Field(unique=True)
    zone: int = pa.Field(ge=1)
    height: float
"""
PAIRS = """\
    a: int = pa.Field(nullable=True{a})
    b: int = pa.Field(nullable=True{b})
    value: float = pa.Field(nullable=True, ge=0)

    class Config:
        unique = {unique}
        metadata = {{"max_quarantined": 1.0}}
"""
Row = tuple[int | None, int | None, float | None]


@pytest.fixture(scope="module")
def trains(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return product_in(tmp_path_factory.mktemp("products"))


def keyed(folder: Path, *, unique: str = "None", a: str = "", b: str = "") -> Product:
    """The trains, where a stop has two numbers and a value, with these keys."""
    folder.mkdir(parents=True, exist_ok=True)
    return product_in(folder, old=STOPS, new=PAIRS.format(unique=unique, a=a, b=b))


def split(product: Product, rows: list[Row]) -> DeliveryAudit:
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Int64, "value": pl.Float64}, orient="row")
    return audit({"stops": frame}, product=product, partition_window=None)


def refused(product: Product, rows: list[Row]) -> dict[int, str]:
    return dict(split(product, rows).tables["stops"].refused.select("row", "reason").iter_rows())


def test_conflicting_duplicate(trains: Product) -> None:
    refused = reasons(trains, {}, {"trip": "5"}, {"trip": "5", "distance": "99"}, {})
    assert refused == [(1, "unique_key.conflict"), (2, "unique_key.conflict")]


def test_identical_rows_keep_the_first_however_they_are_spelled(trains: Product) -> None:
    same = [{"trip": "5"}, {"trip": "5.0", "distance": "12.50", "is_express": "TRUE"}, {"trip": "05"}]
    assert reasons(trains, {}, *same) == [(2, "unique_key"), (3, "unique_key")]


def test_a_row_that_is_refused_for_another_reason_takes_no_key(trains: Product) -> None:
    wrong = {"trip": "5", "line": "C"}
    other = {"trip": "5", "distance": "-1", "is_express": "false"}
    assert reasons(trains, {}, wrong, other, {"trip": "5"}) == [(1, "line.isin"), (2, "distance.range")]


TABLES: list[tuple[str, dict[str, str], list[Row], dict[int, str]]] = [
    (
        "three rows of one key of which two are identical: nobody knows which value is right",
        {"unique": '["a"]'},
        [(1, 1, 1.0), (1, 1, 1.0), (1, 1, 2.0), (2, 1, 1.0)],
        dict.fromkeys([0, 1, 2], "unique_key.conflict"),
    ),
    (
        "a key over two columns: only rows that agree in both share it",
        {"unique": '["a", "b"]'},
        [(1, 1, 1.0), (1, 2, 1.0), (2, 1, 1.0), (1, 2, 3.0), (2, 1, 1.0)],
        {1: "unique_key.conflict", 3: "unique_key.conflict", 4: "unique_key"},
    ),
    (
        "a missing value in a key equals another one, as it does to pandera",
        {"unique": '["a", "b"]'},
        [(None, 1, 1.0), (None, 1, 1.0), (None, 2, 1.0), (None, None, 1.0), (None, None, None), (1, 1, None)],
        {1: "unique_key", 3: "unique_key.conflict", 4: "unique_key.conflict"},
    ),
    (
        "a missing value that is not a key differs from one that is there",
        {"unique": '["a"]'},
        [(1, 1, None), (1, 1, 1.0), (2, 1, None), (2, 1, None)],
        {0: "unique_key.conflict", 1: "unique_key.conflict", 3: "unique_key"},
    ),
    (
        "several keys: a row names each that it is in conflict over",
        {"a": ", unique=True", "b": ", unique=True"},
        [(1, 1, 1.0), (1, 2, 1.0), (2, 2, 1.0), (3, 3, 1.0), (3, 3, 1.0)],
        {0: "a.unique.conflict", 1: "a.unique.conflict,b.unique.conflict", 2: "b.unique.conflict", 4: "a.unique"},
    ),
    (
        "a repeat is in conflict too where the row that it repeats is",
        {"a": ", unique=True", "b": ", unique=True"},
        [(1, 1, 1.0), (1, 1, 1.0), (2, 1, 1.0)],
        dict.fromkeys([0, 1, 2], "b.unique.conflict"),
    ),
    ("without a key identical rows are rows", {}, [(1, 1, 1.0), (1, 1, 1.0), (1, 1, 2.0)], {}),
]


@pytest.mark.parametrize(("keys", "rows", "expected"), [case[1:] for case in TABLES], ids=[case[0] for case in TABLES])
def test_rows_of_one_key(tmp_path: Path, keys: dict[str, str], rows: list[Row], expected: dict[int, str]) -> None:
    assert refused(keyed(tmp_path, **keys), rows) == expected


KEYS = {
    "none": {},
    "one column": {"unique": '["a"]'},
    "two columns": {"unique": '["a", "b"]'},
    "two keys": {"a": ", unique=True", "b": ", unique=True"},
    "three keys": {"unique": '["a", "b"]', "a": ", unique=True", "b": ", unique=True"},
}
COLUMNS = {
    "none": [],
    "one column": [(0,)],
    "two columns": [(0, 1)],
    "two keys": [(0,), (1,)],
    "three keys": [(0, 1), (0,), (1,)],
}


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Product]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: keyed(folder / name, **keys) for name, keys in KEYS.items()}


few = st.sampled_from([None, 1, 2])
some_rows = st.lists(st.tuples(few, few, st.sampled_from([None, -1.0, 0.0, 1.0])), max_size=10)


@pytest.mark.long
@pytest.mark.parametrize("keys", KEYS)
@given(rows=some_rows)
def test_no_key_is_published_twice_and_no_agreed_row_is_lost(products: dict[str, Product], keys: str, rows: list[Row]) -> None:
    table = split(products[keys], rows).tables["stops"]
    assert table.valid.height + table.refused.height == len(rows)
    valid = table.valid.rows()
    allowed = [row for row in rows if row[2] is None or row[2] >= 0]
    agreed = [row for row in allowed if not any(_differ(row, other, key) for other in allowed for key in COLUMNS[keys])]
    assert valid == (list(dict.fromkeys(agreed)) if COLUMNS[keys] else agreed)
    assert table.refused["reason"].str.ends_with("conflict").sum() == len(allowed) - len(agreed)


def _differ(row: Row, other: Row, key: tuple[int, ...]) -> bool:
    return row != other and all(row[i] == other[i] for i in key)


@given(rows=some_rows, order=st.randoms())
def test_which_keys_are_in_conflict_does_not_depend_on_the_order_of_the_rows(
    products: dict[str, Product], rows: list[Row], order: random.Random
) -> None:
    shuffled = list(rows)
    order.shuffle(shuffled)
    one, other = (split(products["three keys"], given).tables["stops"] for given in (rows, shuffled))
    assert Counter(one.valid.rows()) == Counter(other.valid.rows())
    assert one.reasons == other.reasons


def test_a_breach_names_the_conflict_however_many_other_reasons_there_are(trains: Product) -> None:
    wrong = [{"line": "C"}, {"code": "M"}, {"distance": "-1"}] * 9
    pair = [{"trip": "51"}, {"trip": "51", "distance": "99"}]
    changes: list[dict[str, str]] = [{}, {}, *({"trip": str(101 + 2 * i)} | change for i, change in enumerate(wrong)), *pair]
    (breach,) = audited(trains, trips(*changes)).breaches
    assert breach.message == (
        "trips: 93.55 % of rows are refused, limit 90 %: code.regex 9 ('M'), distance.range 9 ('-1'), "
        "express_is_far 9, unique_key.conflict 2 (e.g. rows 2, 3, 4)"
    )


def test_one_pair_in_a_small_delivery_is_a_breach_that_says_so(tmp_path: Path) -> None:
    product = product_in(tmp_path, old=', "max_quarantined": 0.9', new="")
    changes: list[dict[str, str]] = [*[{}] * 38, {"trip": "1001"}, {"trip": "1001", "distance": "99"}]
    (breach,) = audited(product, trips(*changes)).breaches
    assert breach.message == "trips: 5 % of rows are refused, limit 1 %: unique_key.conflict 2 (e.g. rows 38, 39)"


def test_columns_named_as_those_of_the_quarantine_keep_their_values_next_to_them(tmp_path: Path) -> None:
    columns = '    row: int = pa.Field(ge=0)\n    reason: str = pa.Field(isin=["late", "lost"])\n\n'
    config = '    class Config:\n        metadata = {"max_quarantined": 1.0}\n'
    product = product_in(tmp_path, old=STOPS, new=columns + config)
    frame = pl.DataFrame({"row": [7, -1, 8], "reason": ["late", "lost", "eaten"]})
    table = audit({"stops": frame}, product=product, partition_window=None).tables["stops"]
    assert table.valid.rows() == [(7, "late")]
    assert table.refused.columns == ["row (delivered)", "reason (delivered)", "reason", "row"]
    assert table.refused.rows() == [(-1, "lost", "row.range", 1), (8, "eaten", "reason.isin", 2)]
