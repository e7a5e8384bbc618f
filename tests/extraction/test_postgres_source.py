"""A real PostgreSQL as the source of a product: bounds in UTC, every type, drafted by `new`, asked by the command."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from ml_assets.cli import cli
from ml_assets.services.extraction.table_source import TableSource, extractions
from ml_assets.spec.product import load
from resources.landing import open_landing
from resources.ledger.ledger import Ledger
from resources.settings import settings
from resources.sources.databases import Database, DatabaseAway, QueryRefused
from tests.support.homes.shop import DAYS
from tests.support.orders_database import VARIABLE, ask, insert, shop_with_source
from tests.support.postgres import Postgres, new_database, postgres_server

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
FIRST, SECOND, THIRD = DAYS[:3]
PASSWORD = "hunter2-of-ann"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def url(server: Postgres, request: pytest.FixtureRequest) -> str:
    """A database with a user who has a password."""
    folder = str(server.folder)
    url = new_database(folder, request.node.name[:60])
    if not ask(url, "select 1 from pg_roles where rolname = 'ann'"):
        ask(url, f"create role ann login superuser password '{PASSWORD}'")
    return url.replace("postgresql://postgres@", f"postgresql+psycopg://ann:{PASSWORD}@")


def command(folder: Path, *arguments: str) -> Result:
    environ = {"ML_ASSETS_HOME": str(folder / "home"), "ML_ASSETS_PRODUCTS": str(folder / "products"), "DAGSTER_HOME": ""}
    return CliRunner().invoke(cli, arguments, env=environ)


def texts(folder: Path) -> str:
    """Everything that was written below a folder, as text."""
    return "".join(file.read_bytes().decode("utf-8", "replace") for file in folder.rglob("*") if file.is_file())


def test_the_bounds_are_those_of_the_partition_whatever_the_zone_of_the_server_and_the_type_of_the_time(url: str) -> None:
    ask(url, "alter role ann set timezone to 'America/New_York'")
    ask(url, "create table events (at timestamptz, local timestamp, day date, amount numeric(12, 2), code uuid, ok boolean)")
    ask(
        url,
        "insert into events select t at time zone 'UTC', t, t::date, 1.10, gen_random_uuid(), true "
        "from generate_series(timestamp '2024-02-29 22:00', timestamp '2024-03-02 02:00', interval '30 minutes') as t",
    )
    bounds = {"start": datetime(2024, 3, 1), "end": datetime(2024, 3, 2)}
    database = Database("events", url)
    for column in ("at", "local", "day"):
        frame = database.rows(f"select * from events where {column} >= :start and {column} < :end", bounds)
        assert frame.height == 48, column
    assert frame.schema == {
        "at": pl.Datetime("us", "UTC"),
        "local": pl.Datetime("us"),
        "day": pl.Date,
        "amount": pl.Decimal(38, 2),
        "code": pl.String,
        "ok": pl.Boolean,
    }
    assert database.value("select count(*) from events where at < :end and at >= :start", bounds) == "48"


def test_a_source_is_only_read(url: str) -> None:
    ask(url, None)
    with pytest.raises(QueryRefused, match="read-only transaction"):
        Database("orders", url).rows("delete from orders returning id")


def test_a_product_is_drafted_from_a_query_and_its_next_deliveries_come_from_there(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 21):
        insert(url, f"2024-03-{number:02}", count=60)
    query = "select * from orders -- of the shop"
    done = command(tmp_path, "new", "orders", url, "--query", query, "--label", "came_back", "--key", "id")
    assert done.exit_code == 0, done.output
    assert "names the database by the variable ORDERS_DATABASE: set it to the URL" in done.output
    product = load(tmp_path / "products" / "orders")
    source = product.sources["records"]
    assert source.database == "env:ORDERS_DATABASE"
    assert source.sql.splitlines() == [
        "select * from (",
        query,
        ") as delivered",
        "where placed_at >= :start and placed_at < :end",
    ]

    monkeypatch.setenv("ORDERS_DATABASE", url)
    insert(url, "2024-03-21", count=60)
    space = settings({"ML_ASSETS_HOME": str(tmp_path / "home")})
    landing, ledger = open_landing(space.landing), Ledger(space.ledger, head_checkpoint=space.ledger_head)
    source_of_orders = TableSource(product, "records", landing, ledger)
    assert command(tmp_path, "extract", "orders", "--partition", "2024-03-21").exit_code == 0
    frame = pl.read_parquet(landing.file(product, "records", "2024-03-21"))
    assert frame.height == 60
    assert "2024-03-21" not in [due.partition for due in source_of_orders.due(datetime.now(UTC).replace(tzinfo=None))]
    assert extractions(ledger, "orders")["records", "2024-03-21"].body.rows == 60
    ledger.close()
    again = command(tmp_path, "extract", "orders", "--partition", "2024-03-21")
    assert again.exit_code == 1
    assert "--again` asks the source again" in str(again.exception)
    kept = command(tmp_path, "extract", "orders", "--partition", "2024-03-21", "--again")
    assert ", as before" in kept.output
    assert PASSWORD not in texts(tmp_path) + done.output + kept.output + str(again.exception)


def test_a_database_that_went_away_is_a_passing_fault_without_its_password(
    server: Postgres, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = shop_with_source(tmp_path)
    monkeypatch.setenv(VARIABLE, url)
    insert(url, FIRST)
    source = TableSource(home.product, "orders", home.space.landing, home.space.ledger)
    assert source.extract(FIRST).record.rows == 40
    server.stop()
    try:
        with pytest.raises(DatabaseAway, match=f"{VARIABLE}: the database cannot be reached") as away:
            source.extract(FIRST, again=True)
    finally:
        server.start()
    assert PASSWORD not in str(away.value)
    assert source.extract(FIRST, again=True).is_new is False
    home.close()
