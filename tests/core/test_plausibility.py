"""The bad deliveries of 2013: each is held with its reason, and no month as it was delivered is.

The rows are the package's own flights, every eighth departure, with the columns that a request has and the outcome.
"""

import io
import zipfile
from collections.abc import Callable
from functools import cache

import numpy as np
import polars as pl
import pytest

from ml_assets.core.plausibility.claims import CLAIMS
from ml_assets.core.plausibility.judging import Answer, Known, plausible
from ml_assets.core.plausibility.summary import Summary, summarise
from ml_assets.services.demo_flights import Year
from ml_assets.spec.monitoring import PlausibilitySpec

LABEL = "is_late"
EVERY = 8
Change = Callable[[pl.DataFrame], pl.DataFrame]


@cache
def months() -> dict[str, pl.DataFrame]:
    """By month (UTC): what is asked, what was late, and the actual arrival, which no request has."""
    folder = Year.open().folder
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        rows = pl.read_csv(io.BytesIO(archive.read("flights.csv")), null_values=["NA", ""], infer_schema_length=None)
    hours = pl.read_csv(folder / "weather.csv", null_values=["NA"], infer_schema_length=None)
    hours = hours.select("origin", "time_hour", *(pl.col(name).alias(f"forecast_{name}") for name in ("temp", "dewp", "humid")))
    rows = rows.gather_every(EVERY).join(hours, on=["origin", "time_hour"], how="left", maintain_order="left")
    rows = rows.with_row_index("id").with_columns(
        scheduled_at=pl.col("time_hour").str.slice(0, 19).str.to_datetime("%Y-%m-%dT%H:%M:%S"),
        is_late=(pl.col("arr_delay") >= 30).cast(pl.Int64),
    )
    rows = clocks(rows).with_columns(month=pl.col("scheduled_at").dt.strftime("%Y-%m")).filter(pl.col("month") < "2014")
    kept = ["id", "scheduled_at", "carrier", "origin", "dest", "distance", "sched_dep_time", "sched_arr_time"]
    kept += ["dep_minutes", "arr_minutes", "clock_minutes", "forecast_temp", "forecast_dewp", "forecast_humid"]
    return {
        str(key[0]): partition.select(*kept, LABEL, "arr_time") for key, partition in rows.group_by("month", maintain_order=True)
    }


def clocks(rows: pl.DataFrame) -> pl.DataFrame:
    """What the product's SQL makes of both times of the timetable."""
    minutes = {
        f"{end}_minutes": pl.col(f"sched_{end}_time") // 100 * 60 + pl.col(f"sched_{end}_time") % 100 for end in ("dep", "arr")
    }
    rows = rows.with_columns(**minutes)
    return rows.with_columns(clock_minutes=(pl.col("arr_minutes") - pl.col("dep_minutes") + 1800) % 1440 - 360)


def summary(rows: pl.DataFrame) -> Summary:
    return summarise(rows.drop("arr_time"), key=["id"], label=LABEL)


@cache
def known() -> tuple[Known, ...]:
    return tuple(Known(key, summary(rows)) for key, rows in sorted(months().items()))


def refused(answers: list[Answer]) -> dict[str, str]:
    return {answer.claim: answer.why for answer in answers if not answer.is_plausible}


def leak(rows: pl.DataFrame) -> pl.DataFrame:
    """The arrival as it was, delivered as the one of the timetable."""
    return clocks(rows.with_columns(sched_arr_time=pl.coalesce(pl.col("arr_time") % 2400, "sched_arr_time")))


def swapped(rows: pl.DataFrame) -> pl.DataFrame:
    return clocks(rows.with_columns(sched_dep_time="sched_arr_time", sched_arr_time="sched_dep_time"))


def half_again(rows: pl.DataFrame) -> pl.DataFrame:
    again = rows.gather_every(2).with_columns(pl.col("id") + 1_000_000)
    return pl.concat([rows, again])


def clamped(rows: pl.DataFrame) -> pl.DataFrame:
    """New York's time taken for UTC, and what then lies before the month moved into it."""
    return rows.with_columns(pl.max_horizontal(pl.col("scheduled_at") - pl.duration(hours=5), pl.col("scheduled_at").min()))


def all_in_time(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.when(pl.col(LABEL).is_not_null()).then(0).alias(LABEL))


def november(rows: pl.DataFrame) -> pl.DataFrame:
    """November's rows, thirty days later, in December's weather."""
    before = months()["2013-11"].with_columns(pl.col("scheduled_at") + pl.duration(days=30))
    weather = [name for name in rows.columns if name.startswith("forecast")]
    places = np.arange(before.height) % rows.height
    return before.with_columns(rows[name].gather(places) for name in weather)


BAD: dict[str, tuple[Change, str, str]] = {
    "a leak": (leak, "no_column_gives_label_away", "clock_minutes (AUC"),
    "swapped times": (swapped, "relations_hold", "clock_minutes with distance"),
    "swapped temperatures": (
        lambda rows: rows.with_columns(forecast_temp="forecast_dewp", forecast_dewp="forecast_temp"),
        "relations_hold",
        "forecast_dewp > forecast_temp",
    ),
    "half the rows again": (half_again, "volume_plausible", "rows, usually about"),
    "the same rows again": (half_again, "content_is_new", "repeat another row in everything but the key"),
    "another time zone": (clamped, "relations_hold", "scheduled_at"),
    "November as December": (november, "content_is_new", "the same values as 2013-11"),
    "labels all 0": (all_in_time, "label_rate_plausible", "are alike, which no earlier partition's were"),
    "half of the labels turned": (
        lambda rows: rows.with_columns(pl.when(pl.col("id") % 2 == 0).then(1 - pl.col(LABEL)).otherwise(LABEL).alias(LABEL)),
        "label_rate_plausible",
        "of the labels would have to be others",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_delivery_is_held_with_its_reason(name: str) -> None:
    change, claim, words = BAD[name]
    december = Known("2013-12", summary(change(months()["2013-12"])))
    answers = refused(plausible(known()[:-1], december, label=LABEL))
    assert claim in answers
    assert words in answers[claim]


@pytest.mark.parametrize("place", range(12))
def test_no_month_of_2013_as_it_was_delivered_is_held(place: int) -> None:
    assert refused(plausible(known()[:place], known()[place], label=LABEL)) == {}


def test_first_partitions_are_compared_with_nothing_and_say_so() -> None:
    first = plausible([], known()[0], label=LABEL)
    assert {answer.claim for answer in first} == set(CLAIMS)
    assert "0 past partitions to compare with, 6 are needed" in next(a.why for a in first if a.claim == "volume_plausible")


def test_a_partition_without_rows_or_labels_is_no_crash() -> None:
    empty = months()["2013-12"].clear()
    assert refused(plausible(known()[:-1], Known("2013-12", summary(empty)), label=LABEL)) == {}
    unlabelled = months()["2013-12"].with_columns(pl.lit(None, pl.Int64).alias(LABEL))
    answers = plausible(known()[:-1], Known("2013-12", summary(unlabelled)), label=LABEL)
    assert refused(answers) == {}
    assert "no label is known yet" in {answer.why for answer in answers}


def test_a_summary_comes_back_from_its_bytes() -> None:
    summary = known()[0].summary
    again = Summary.from_json(summary.to_json())
    assert again.to_json() == summary.to_json()
    assert (
        refused(
            plausible(
                [Known(partition.key, Summary.from_json(partition.summary.to_json())) for partition in known()[:-1]],
                known()[-1],
                label=LABEL,
            )
        )
        == {}
    )


def test_product_yaml_holds_back_by_the_claims_that_there_are() -> None:
    assert PlausibilitySpec(hold=tuple(CLAIMS)).hold == tuple(CLAIMS)
