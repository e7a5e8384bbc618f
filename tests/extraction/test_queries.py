"""A table's rows come from a query: once for each partition, in one order, and again where a person or the source says so."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from ml_assets.core.lineage.partitions import PartitionKeyError
from ml_assets.errors import MlAssetsError
from ml_assets.services.extraction.delivery_content import ExtractionRefused
from ml_assets.services.extraction.table_source import TableSource, extractions, sources_of
from resources.sources.databases import QueryRefused
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import DAYS
from tests.support.orders_database import SOURCE, VARIABLE, ask, insert, shop_with_source

FIRST, SECOND, THIRD = DAYS[:3]
NOW = datetime(2024, 3, 3, 0, 30)
WATCH = "    watch: select count(*) from orders where placed_at >= :start and placed_at < :end\n"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'orders.db'}"
    monkeypatch.setenv(VARIABLE, url)
    for day in DAYS[:3]:
        insert(url, day)
    return url


def source(homes: list[Home], tmp_path: Path, declared: str = SOURCE) -> TableSource:
    homes.append(shop_with_source(tmp_path / "home", declared))
    (only,) = sources_of(homes[-1].product, homes[-1].space.landing, homes[-1].space.ledger)
    return only


def delivered(source: TableSource, day: str) -> bytes:
    return source.landing.file(source.product, "orders", day).read_bytes()


def test_a_partition_is_its_rows_and_no_other_in_the_order_of_the_key(url: str, homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path)
    insert(url, SECOND, id=lambda number, row: f"late-{number}", count=1, placed_at=f"{SECOND}T00:00:00.000000")
    done = orders.extract(FIRST)
    frame = pl.read_parquet(delivered(orders, FIRST))
    assert (done.is_new, done.record.rows, frame.height) == (True, 40, 40)
    assert frame["id"].to_list() == sorted(frame["id"])
    assert frame["placed_at"].str.slice(0, 10).unique().to_list() == [FIRST]
    assert orders.extract(SECOND).record.rows == 41
    entry = extractions(orders.ledger, "shop")["orders", FIRST]
    assert entry.body == done.record


@pytest.mark.long
def test_the_same_rows_in_another_order_are_the_same_delivery(url: str, homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path)
    before = orders.extract(FIRST).record.content
    file = orders.landing.file(orders.product, "orders", FIRST)
    times = file.stat().st_mtime_ns
    ask(url, "delete from orders")
    insert(url, FIRST)
    ask(url, "create table other as select * from orders order by amount")
    ask(url, "delete from orders")
    ask(url, "insert into orders select * from other")
    again = orders.extract(FIRST, again=True)
    assert (again.record.content, again.is_new, file.stat().st_mtime_ns) == (before, False, times)


@pytest.mark.long
def test_it_is_asked_for_once_after_its_end_and_the_time_to_settle(url: str, homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path, f"{SOURCE}    settle: 1h\n")
    assert [due.partition for due in orders.due(NOW)] == [FIRST]
    assert [due.partition for due in orders.due(datetime(2024, 3, 3, 1, 0))] == [FIRST, SECOND]
    orders.extract(FIRST)
    assert [*orders.due(NOW)] == []
    file = orders.landing.file(orders.product, "orders", FIRST)
    file.unlink()
    assert [*orders.due(NOW)] == [], "what was read lies in the store, and is asked for by nobody but people"
    assert url


def test_a_second_time_is_refused_unless_a_person_says_again(url: str, homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path)
    first = orders.extract(FIRST)
    insert(url, FIRST, count=1, id=lambda number, row: "late")
    with pytest.raises(ExtractionRefused, match=r"\(40 rows, .*`ml-assets extract shop --partition 2024-03-01 --again`"):
        orders.extract(FIRST)
    again = orders.extract(FIRST, again=True)
    assert (again.is_new, again.record.rows) == (True, 41)
    assert again.record.content != first.record.content


@pytest.mark.long
def test_a_file_that_a_person_delivered_is_left_alone(url: str, homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path)
    orders.landing.put(orders.product, "orders", FIRST, b"by hand")
    assert [due.partition for due in orders.due(NOW)] == [SECOND]
    with pytest.raises(ExtractionRefused, match=r"was delivered by hand; .* --again` replaces that"):
        orders.extract(FIRST)
    assert (delivered(orders, FIRST), bool(url)) == (b"by hand", True)


def test_another_value_of_the_watched_query_makes_its_partition_due_again(url: str, homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path, f"{SOURCE}{WATCH}")
    for due in [*orders.due(NOW)]:
        orders.extract(due.partition, state=due.state)
    assert [*orders.due(NOW)] == []
    insert(url, FIRST, count=1, id=lambda number, row: "late")
    (due,) = orders.due(NOW)
    assert due.partition == FIRST
    assert orders.extract(due.partition, state=due.state).record.rows == 41
    assert [*orders.due(NOW)] == []


@pytest.mark.long
def test_only_the_newest_partitions_are_watched(url: str, homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path, f"{SOURCE}{WATCH}    watched: 1\n")
    for day in (FIRST, SECOND):
        orders.extract(day)
        insert(url, day, count=1, id=lambda number, row, day=day: f"late-{day}")
    assert [due.partition for due in orders.due(NOW)] == [SECOND]


@pytest.mark.long
def test_a_partition_that_is_not_over_is_not_asked_for(url: str, homes: list[Home], tmp_path: Path) -> None:
    orders = source(homes, tmp_path)
    with pytest.raises(PartitionKeyError, match="2024-02-29"):
        orders.extract("2024-02-29")
    assert url


@pytest.mark.long
@pytest.mark.parametrize(
    ("statement", "select", "message"),
    [
        ("delete from orders", None, "the query gives no rows; if they come later, declare a longer `settle`"),
        (
            None,
            "select nosuch from orders where placed_at > :start and placed_at < :end",
            "the query fails: no such column: nosuch",
        ),
        (
            None,
            "select id from orders where placed_at > :start and placed_at < :end",
            "gives no column 'placed_at'.* it gives id;",
        ),
        (None, "select *, id from orders where placed_at > :start and placed_at < :end", "names a column twice: id"),
        (
            None,
            "selct id from orders where placed_at > :start and placed_at < :end",
            "the query fails: near .selct.: syntax error",
        ),
    ],
)
def test_what_a_query_cannot_give_is_said_with_what_to_do(
    statement: str | None, select: str | None, message: str, url: str, homes: list[Home], tmp_path: Path
) -> None:
    if statement:
        ask(url, statement)
    declared = SOURCE if select is None else f"sources: {{orders: {{database: 'env:{VARIABLE}', sql: '{select}'}}}}\n"
    orders = source(homes, tmp_path, declared)
    with pytest.raises((ExtractionRefused, QueryRefused), match=message):
        orders.extract(FIRST)
    assert not orders.landing.file(orders.product, "orders", FIRST).exists()
    assert extractions(orders.ledger, "shop") == {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "the variable SHOP_DATABASE is not set; set it to the URL"),
        ("nonsense hunter2", "SHOP_DATABASE: its value is not the URL of a database"),
        (
            "oracle+cx_oracle://ann:hunter2@db/shop",
            "SHOP_DATABASE: the driver cx_Oracle is not installed; `pip install cx_Oracle`",
        ),
        ("nosuch://ann:hunter2@db/shop", "SHOP_DATABASE: SQLAlchemy has no driver for nosuch://"),
        ("sqlite:////nowhere/hunter2/shop.db", "SHOP_DATABASE: the query fails: unable to open database file"),
        ("postgresql+psycopg://ann:hunter2@127.0.0.1:9/shop?connect_timeout=2", "SHOP_DATABASE: the database cannot be reached"),
        ("duckdb:////nowhere/shop.duckdb", "/nowhere/shop.duckdb: there is no such database file"),
    ],
)
def test_a_database_that_cannot_be_asked_is_named_by_its_variable_without_the_password(
    value: str, message: str, homes: list[Home], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    orders = source(homes, tmp_path)
    with pytest.raises(MlAssetsError) as refused:
        orders.extract(FIRST)
    assert message in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None, "a driver's own words would be logged with it"
