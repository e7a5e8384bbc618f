"""The features of flights, built by the real dbt models from the first two weeks of 2013."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from resources.dbt.build import Built, Dbt
from tests.support.homes.flights_days import PARTITION, Frames, flights, tables, write_sources

RATES = {"carrier_late_rate": ["carrier"], "origin_late_rate": ["origin"], "route_late_rate": ["origin", "dest"]}
OUTCOMES = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    return Dbt(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def built(dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return dbt.build(flights(), sources=write_sources(tables(), tmp_path_factory.mktemp("sources")), partition=PARTITION)


def _local_day(time: str) -> pl.Expr:
    return (pl.col(time) - pl.duration(hours=5)).dt.date()


def test_features_and_requests_keep_their_contracts(built: Built) -> None:
    features = flights().contract.Features.validate(built.features, lazy=True)
    requests = flights().contract.Request.validate(built.requests, lazy=True)
    assert features.height == requests.height == built.labels.height == tables()["flights"].height > 10_000


def test_labels_say_thirty_minutes_or_more_and_nothing_of_flights_that_never_arrived(built: Built) -> None:
    labels = built.labels["is_late"]
    delays = tables()["flights"]["arr_delay"]
    assert labels.null_count() == delays.null_count() > 0
    assert labels.sum() == (delays >= 30).sum() > 0


@pytest.mark.parametrize("rate", RATES)
def test_a_trailing_rate_counts_the_seven_days_strictly_before_the_day(built: Built, rate: str) -> None:
    keys = RATES[rate]
    known = tables()["flights"].drop_nulls("arr_delay").with_columns(day=pl.col("time_hour").dt.date())
    questions = built.features.with_columns(day=_local_day("scheduled_at"))
    for day in (date(2013, 1, 2), date(2013, 1, 5), date(2013, 1, 12)):
        seen = known.filter(pl.col("day").is_between(day - timedelta(days=7), day - timedelta(days=1)))
        expected = seen.group_by(keys).agg((pl.col("arr_delay") >= 30).mean().alias("expected"))
        pair = questions.filter(pl.col("day") == day).join(expected, on=keys, how="left")
        assert pair["expected"].count() > 100
        assert pair[rate].equals(pair["expected"].rename(rate), null_equal=True)


@pytest.mark.long
@pytest.mark.parametrize("day", [date(2013, 1, 6), date(2013, 1, 10)])
def test_outcomes_from_a_day_on_leave_the_features_of_that_day_and_before_unchanged(
    dbt: Dbt, built: Built, tmp_path: Path, day: date
) -> None:
    frames = dict(tables())
    for clock in (pl.col("time_hour").dt.date(), pl.date("year", "month", "day")):
        scrambled = dbt.build(flights(), sources=write_sources(_scrambled(frames, clock >= day), tmp_path), partition=PARTITION)
        before = built.features.filter(_local_day("scheduled_at") <= day).sort("flight_id")
        after = scrambled.features.filter(_local_day("scheduled_at") <= day).sort("flight_id")
        assert before.height > 1_000
        assert before.equals(after, null_equal=True)
        utc = pl.col("scheduled_at").dt.date() <= day
        assert built.features.filter(utc).sort("flight_id").equals(scrambled.features.filter(utc).sort("flight_id"))
        assert not built.features.sort("flight_id").equals(scrambled.features.sort("flight_id"))


def _scrambled(frames: Frames, where: pl.Expr) -> Frames:
    table = frames["flights"]
    other = {name: pl.col(name).shuffle(seed=1).fill_null(999) for name in OUTCOMES}
    changed = [pl.when(where).then(value).otherwise(pl.col(name)).alias(name) for name, value in other.items()]
    return {**frames, "flights": table.with_columns(changed)}


def test_only_the_trailing_rates_come_from_outcomes(dbt: Dbt) -> None:
    outcomes = {("dataset", f"flights.{name}") for name in OUTCOMES}
    lineage = dbt.column_lineage(flights())
    assert {column for column, origins in lineage.items() if outcomes & set(origins)} == RATES.keys()
    assert lineage["plane_year"] == (("reference", "planes.year"),)
    assert ("dataset", "weather.temp") in lineage["forecast_temp"]
    assert all(lineage.values())


def test_one_request_through_the_compiled_sql_in_memory_equals_the_batch_row(built: Built) -> None:
    import duckdb

    batch = {row[0]: row for row in built.features.rows()}
    some = built.requests.sample(25, seed=3).rows()
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("ATTACH ':memory:' AS features")
        for name, frame in {**built.lookups, "flights_requests": built.requests.head(0)}.items():
            connection.register("arriving", frame)
            connection.execute(f"CREATE TABLE features.main.{name} AS SELECT * FROM arriving")
            connection.unregister("arriving")
        places = ", ".join("?" * built.requests.width)
        for row in some:
            connection.execute("DELETE FROM features.main.flights_requests")
            connection.execute(f"INSERT INTO features.main.flights_requests VALUES ({places})", row)
            assert connection.execute(built.features_sql).fetchall() == [batch[row[0]]]
    assert sum(batch[row[0]][-1] is not None for row in some) > 10


def test_lookups_go_on_for_two_months_with_the_rates_of_the_last_week(dbt: Dbt, tmp_path: Path) -> None:
    frames = dict(tables())
    frames["flights"] = frames["flights"].with_columns(pl.col("time_hour") + timedelta(days=17))
    rates = dbt.build(flights(), sources=write_sources(frames, tmp_path), partition=PARTITION).lookups["flights_late_rates"]
    known = rates.filter(pl.col("carrier_late_rate").is_not_null())
    assert (known["last_day"] < known["day"]).all()
    after = known.filter(pl.col("day") >= date(2013, 2, 1))
    assert after["day"].unique().len() == 28 + 31 + 1
    assert after["last_day"].max() == date(2013, 1, 31)
    for column in RATES:
        assert after.group_by("carrier", "origin", "dest").agg(pl.col(column).n_unique())[column].max() == 1


def test_the_model_is_constrained_on_columns_that_exist() -> None:
    constrained = flights().model.params["monotone_constraints"]
    assert isinstance(constrained, dict)
    assert constrained.keys() <= flights().contract.Features.to_schema().columns.keys()
