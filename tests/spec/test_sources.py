"""A source is declared so that it can be asked for one partition, and holds no secret; anything else is refused on load."""

from pathlib import Path

import pytest

from ml_assets.spec.product import ProductError, load
from tests.spec.test_product import SPEC, folder

BOUNDED = "select * from trips where departs_at >= :start and departs_at < :end"
PASSWORD = "hunter2"


def declared(tmp_path: Path, source: str, table: str = "trips") -> Path:
    spec = SPEC.replace("trips: {format: csv, null_values", "trips: {format: parquet, null_values")
    return folder(tmp_path, spec=f"{spec}sources:\n  {table}: {source}\n")


@pytest.mark.parametrize(
    ("source", "table"),
    [
        (
            f"{{sql: '{BOUNDED}', database: env:TRAINS, watch: 'select :start, max(at) from trips where at < :end', settle: 2h}}",
            "trips",
        ),
        ("{sql: select * from stops, database: 'duckdb:////data/stops.duckdb', watch: select max(at) from stops}", "stops"),
        ("{uri: 's3://team/trips/{partition}/*.parquet', asset: [team, trips]}", "trips"),
        ("{uri: 's3://team/stops.parquet'}", "stops"),
    ],
)
def test_a_query_with_bounds_or_a_url_with_a_place_for_the_partition_is_a_source(source: str, table: str, tmp_path: Path) -> None:
    assert [*load(declared(tmp_path, source, table)).sources] == [table]


@pytest.mark.parametrize(
    ("source", "table", "message"),
    [
        ("{sql: select * from trips, database: env:TRAINS}", "trips", "trips.sql: has no :start and no :end; bound it by"),
        (f"{{sql: '{BOUNDED}', watch: select max(at) from trips, database: env:T}}", "trips", "trips.watch: has no :start"),
        (
            f"{{sql: '{BOUNDED} and line = :line', database: env:TRAINS}}",
            "trips",
            "has the parameter :line; allowed: :start and :end",
        ),
        ("{sql: 'select * from t where d = :start::date', database: env:T}", "trips", "cast(:start as date)"),
        (f"{{sql: '{BOUNDED}', database: env:TRAINS}}", "stops", "stops.sql: has bounds, and is asked for all rows"),
        (f"{{sql: '{BOUNDED}'}}", "trips", "name it: `database: env:NAME`"),
        (f"{{sql: '{BOUNDED}', database: TRAINS}}", "trips", "database: is not a database; write env:NAME"),
        (f"{{sql: '{BOUNDED}', database: 'env:'}}", "trips", "names nothing"),
        (f"{{sql: '{BOUNDED}', database: env:TRAINS, settle: soon}}", "trips", "is no span of time"),
        ("{}", "trips", "needs either sql, a query, or uri"),
        ("{uri: 's3://team/trips.parquet'}", "trips", "needs {partition} in its URL"),
        ("{uri: 's3://team/{key}.parquet'}", "trips", "has {key} in it; the only place for a value is {partition}"),
        ("{uri: 's3://team/**/{partition}.parquet'}", "trips", "has '**' in it"),
        ("{uri: trips.parquet}", "trips", "uri: is not a URL"),
        ("{uri: 's3://team/{partition}.csv', watch: select 1}", "trips", "watch goes with sql"),
        ("{uri: 's3://team/{partition}.csv'}", "trains", "is not a table of delivery or labels.delivered; allowed: trips, stops"),
    ],
)
def test_what_could_not_be_asked_is_refused_on_load_with_what_to_write(
    source: str, table: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ProductError) as refused:
        load(declared(tmp_path, source, table))
    assert message in str(refused.value)


def test_rows_of_a_query_are_not_delivered_as_csv(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="declare trips with format: parquet"):
        load(folder(tmp_path, spec=f"{SPEC}sources: {{trips: {{sql: '{BOUNDED}', database: env:TRAINS}}}}\n"))


@pytest.mark.parametrize(
    "source",
    [
        f"{{sql: '{BOUNDED}', database: 'postgresql://ann:{PASSWORD}@db/trains'}}",
        f"{{sql: '{BOUNDED}', database: 'postgresql://db/trains?password={PASSWORD}'}}",
        f"{{sql: '{BOUNDED}', database: {PASSWORD}}}",
        f"{{sql: '{BOUNDED}', database: [{PASSWORD}]}}",
        f"{{uri: 's3://key:{PASSWORD}@team/{{partition}}.csv'}}",
        f"{{uri: 'https://team/{{partition}}.csv?sig={PASSWORD}'}}",
    ],
)
def test_a_password_is_refused_and_not_repeated(source: str, tmp_path: Path) -> None:
    with pytest.raises(ProductError) as refused:
        load(declared(tmp_path, source))
    assert PASSWORD not in str(refused.value)
    assert "product.yaml:29" in str(refused.value) or "product.yaml:30" in str(refused.value)
