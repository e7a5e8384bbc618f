"""The bad deliveries of 2013: each is held with its reason, and no month as it was delivered is.

The rows are the package's own flights, every eighth departure, with the columns that a request has and the outcome.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from ml_assets.core.drift.histograms import Levels
from ml_assets.core.gate_lab.mutants import leaking
from ml_assets.core.plausibility.claims import CLAIMS
from ml_assets.core.plausibility.judging import Known, PlausibilityResult, plausible
from ml_assets.core.plausibility.leaks import leaks
from ml_assets.core.plausibility.separation import UnitSeparation, separations
from ml_assets.core.plausibility.summary import Summary, ranks, summarise
from ml_assets.services.demo_flights import Year
from ml_assets.spec.monitoring import PlausibilitySpec

LABEL = "is_late"
EVERY = 8
Change = Callable[[pl.DataFrame], pl.DataFrame]


@cache
def flights(every: int) -> pl.DataFrame:
    """One of so many departures: what is asked, what was late, and the actual arrival, which no request has."""
    folder = Year.open().folder
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        rows = pl.read_csv(io.BytesIO(archive.read("flights.csv")), null_values=["NA", ""], infer_schema_length=None)
    hours = pl.read_csv(folder / "weather.csv", null_values=["NA"], infer_schema_length=None)
    hours = hours.select("origin", "time_hour", *(pl.col(name).alias(f"forecast_{name}") for name in ("temp", "dewp", "humid")))
    rows = rows.gather_every(every).join(hours, on=["origin", "time_hour"], how="left", maintain_order="left")
    rows = rows.with_row_index("id").with_columns(
        scheduled_at=pl.col("time_hour").str.slice(0, 19).str.to_datetime("%Y-%m-%dT%H:%M:%S"),
        is_late=(pl.col("arr_delay") >= 30).cast(pl.Int64),
    )
    rows = clocks(rows).with_columns(month=pl.col("scheduled_at").dt.strftime("%Y-%m")).filter(pl.col("month") < "2014")
    kept = ["id", "scheduled_at", "carrier", "origin", "dest", "distance", "sched_dep_time", "sched_arr_time"]
    kept += ["dep_minutes", "arr_minutes", "clock_minutes", "forecast_temp", "forecast_dewp", "forecast_humid"]
    return rows.select(*kept, LABEL, "arr_time", "month")


@cache
def months() -> dict[str, pl.DataFrame]:
    """The flights by month (UTC)."""
    by_month = flights(EVERY).group_by("month", maintain_order=True)
    return {str(key[0]): partition.drop("month") for key, partition in by_month}


def clocks(rows: pl.DataFrame) -> pl.DataFrame:
    """What the product's SQL makes of both times of the timetable."""
    minutes = {
        f"{end}_minutes": pl.col(f"sched_{end}_time") // 100 * 60 + pl.col(f"sched_{end}_time") % 100 for end in ("dep", "arr")
    }
    rows = rows.with_columns(**minutes)
    return rows.with_columns(clock_minutes=(pl.col("arr_minutes") - pl.col("dep_minutes") + 1800) % 1440 - 360)


def summary(rows: pl.DataFrame) -> Summary:
    return summarise(rows.drop("arr_time"), key=["id"], label=LABEL, unit=rows["scheduled_at"].dt.date())


@cache
def known() -> tuple[Known, ...]:
    return tuple(Known(key, summary(rows)) for key, rows in sorted(months().items()))


def refused(answers: list[PlausibilityResult]) -> dict[str, str]:
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


@pytest.mark.long
def test_no_week_of_2013_as_it_was_delivered_is_held() -> None:
    weekly = flights(1).with_columns(pl.col("scheduled_at").dt.truncate("1w").alias("month")).sort("scheduled_at")
    by_week = [rows.drop("month") for _, rows in weekly.group_by("month", maintain_order=True) if rows.height > 2000]
    weeks = [Known(f"{number:02}", summary(rows)) for number, rows in enumerate(by_week)]
    assert len(weeks) >= 52
    assert [refused(plausible(weeks[:place], weeks[place], label=LABEL)) for place in range(len(weeks))] == [{}] * len(weeks)


@pytest.mark.parametrize("column", ["forecast_humid", "sched_arr_time"])
def test_a_column_that_knows_a_few_of_the_outcomes_is_held(column: str) -> None:
    december = months()["2013-12"].with_columns(pl.col(column).cast(pl.Float64))
    leaky = leaking(december, column=column, label=LABEL, share=0.2, seed=0)
    answers = refused(plausible(known()[:-1], Known("2013-12", summary(leaky)), label=LABEL))
    assert answers["no_column_gives_label_away"].startswith(f"{column} (AUC")


def test_a_separation_is_the_mean_over_units_of_the_auc_weighted_by_pairs() -> None:
    random = np.random.default_rng(0)
    units = random.integers(0, 9, 3000)
    truth = ranks((random.random(3000) < 0.1 + 0.08 * units).astype(float))
    values = {"tells": ranks(random.normal(size=3000) + 0.5 * truth + units), "noise": ranks(random.normal(size=3000))}
    expected, weights = [], []
    for unit in range(9):
        rows = units == unit
        later = truth[rows] > truth.min()
        expected.append(roc_auc_score(later, values["tells"][rows]) - 0.5)
        weights.append(later.sum() * (~later).sum())
    measured = separations(values, truth, units)
    assert measured["tells"].value == pytest.approx(np.average(expected, weights=weights))
    assert abs(measured["noise"].value) < 3 * measured["noise"].error
    as_one = separations(values, truth, np.zeros(3000, dtype=np.int64))["tells"]
    assert as_one.value == pytest.approx(roc_auc_score(truth > truth.min(), values["tells"]) - 0.5)
    assert separations(values, truth, np.arange(3000))["tells"] == as_one, "units of one row each tell nothing"


@pytest.mark.long
def test_columns_that_know_nothing_are_held_in_one_partition_of_a_hundred() -> None:
    """Simulated: seven partitions of 20 columns whose AUC varies around its mean, whatever that is."""
    random, held = np.random.default_rng(0), 0
    for _ in range(300):
        means = random.normal(0, 0.05, 20)
        drawn = [
            {
                f"{n}": UnitSeparation(random.normal(mean, 0.06), 0.05, random.normal(0, 0.06), 0.05)
                for n, mean in enumerate(means)
            }
            for _ in range(7)
        ]
        held += bool(leaks(drawn[:-1], drawn[-1], least=6))
    assert held <= 9  # more in one of 1,000 draws where the level is 1 %


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


def test_cells_and_orders_count_the_rows_that_have_both_values() -> None:
    generator = np.random.default_rng(7)
    for size in range(0, 60, 3):
        columns = {name: generator.integers(-3, 4, size).astype(float) for name in ("first", "second")}
        for values in columns.values():
            values[generator.random(size) < 0.2] = np.nan
            values[generator.random(size) < 0.1] = np.inf
        rows = pl.DataFrame({"id": range(size), **columns, "label": [0] * size}, schema_overrides={"label": pl.Int64})
        summary = summarise(rows, key=["id"], label="label")
        both = [(a, b) for a, b in zip(*columns.values(), strict=True) if a == a and b == b]
        order = summary.orders["first beside second"]
        assert isinstance(order, Levels)
        counted = {"<": sum(a < b for a, b in both), "=": sum(a == b for a, b in both), ">": sum(a > b for a, b in both)}
        assert dict(zip(order.levels, order.counts.tolist(), strict=True)) == {side: n for side, n in counted.items() if n}
        assert order.missing == size - len(both)
        fifths = [np.minimum(ranks(values) * 5, 4) for values in columns.values()]
        cells = Counter((int(a), int(b)) for a, b in zip(*fifths, strict=True) if a == a and b == b)
        assert summary.cells.tolist() == [[cells[a, b] for a in range(5) for b in range(5)]]


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


@pytest.mark.parametrize(("now", "is_leak"), [(0.13, False), (0.17, True), (-0.17, True)])
def test_a_surely_better_separation_is_a_leak_only_where_it_is_clearly_beyond_all_before(now: float, is_leak: bool) -> None:
    before = [{"gate": UnitSeparation(0.1 + 0.001 * (-1) ** n, 0.001, 0.0, 0.001)} for n in range(8)]
    assert [look.column for look in leaks(before, {"gate": UnitSeparation(now, 0.001, 0.0, 0.001)}, least=6)] == [
        "gate"
    ] * is_leak
