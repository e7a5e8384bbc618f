"""How often an alarm of drift is false, in worlds without drift; and flights by week: its alarms, and what it finds that is
planted."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.rates import JUDGED, WORLDS, rate, rates_table
from benchmarks.simulations.drift_rates import Rates, false_alarms
from benchmarks.simulations.drift_worlds import History
from benchmarks.tables import table
from ml_assets.core.drift.column_orders import orders
from ml_assets.core.drift.histograms import count
from ml_assets.core.drift.verdict import DriftReference, Observed, follow, judged_alone

ROWS, COLUMNS, PAST = (40, 1_000, 6_500, 100_000, 3_000_000), (5, 27), (6, 12, 24)
SEEDS, LEAST_PAST, SAMPLED = 200, 16, 6_500
Planted = tuple[pl.DataFrame, str]
Plant = Callable[[pl.DataFrame, np.random.Generator], Planted]


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """`runs` thousand partitions for each row count, kind of history and number of columns; flights of the whole year."""
    rates = [_rate(world, rows, columns, runs * 1000) for columns in COLUMNS for world in WORLDS for rows in ROWS]
    weeks = by_week()
    rule = DriftReference(ignored=frozenset({"day_of_year"}))
    verdicts = follow(weeks_observed(weeks), rule)
    states = {state: [v.partition for v in verdicts if v.state == state] for state in ("alarm", "watch", "uncalibrated")}
    alarms = {name: planted(weeks, plant, rule) for name, plant in PLANTS.items()}
    return {"rates": rates, "weeks": len(weeks), "states": states, "found": alarms}


def text(results: Mapping[str, Any]) -> str:
    """The tables."""
    parts = [rates_table(["history", "columns", "rows"], results["rates"])]
    states = ", ".join(f"{len(keys)} {state}" for state, keys in results["states"].items())
    parts.append(f"flights by week, {results['weeks']} weeks: {states} (watched: {', '.join(results['states']['watch'])})")
    parts.append(
        table(["planted in two weeks", "alarm", "seeds"], [[n, f"{hits}", f"{of}"] for n, (hits, of) in results["found"].items()])
    )
    return "\n\n".join(parts)


def _rate(history: History, rows: int, columns: int, partitions: int) -> dict[str, Any]:
    random = np.random.default_rng([11, rows, columns, len(history)])

    def judge(past: int, worlds: int) -> Rates:
        return false_alarms(history, rows=rows, columns=columns, past=past, judged=JUDGED, worlds=worlds, random=random)

    return {"history": history, "columns": columns, "rows": rows} | rate(partitions, PAST, judge)


def by_week() -> list[tuple[str, pl.DataFrame]]:
    """The columns of 2013 that are watched, by whole week."""
    return [(key, rows.drop("flight_id", "scheduled_at")) for key, rows in features_by_week()]


def features_by_week() -> list[tuple[str, pl.DataFrame]]:
    """The features of 2013 by whole week, as the product's own SQL computes them by month."""
    from ml_assets.cli.shared.context import product_named
    from ml_assets.cli.shared.workspace import Workspace
    from ml_assets.core.lineage.partitions import partitions_of
    from ml_assets.services.build_snapshots import make_dataset, make_features, make_raw, make_reference
    from ml_assets.services.demo_flights import Year
    from resources.environment import pin
    from resources.settings import settings

    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as home:
        space = Workspace(settings({"ML_ASSETS_HOME": home}))
        pin(Path(home))
        product, year, frames = product_named("flights", space.settings), Year.open(), []
        for name, content in year.reference().items():
            space.landing.put(product, name, "", content)
        make_reference(space.lineage, space.landing, product, run="benchmark")
        for key in partitions_of(product).keys("2013-01", "2013-12"):
            for name, content in year.month(key).items():
                space.landing.put(product, name, key, content)
            make_raw(space.lineage, space.landing, product, key, run="benchmark")
            make_dataset(space.lineage, product, key, run="benchmark")
            features = make_features(space.lineage, space.dbt, product, key, run="benchmark").manifest
            frames.append(space.snapshots.frame(features.snapshot, "features.parquet"))
        space.ledger.close()
    rows = pl.concat(frames).sort("scheduled_at").with_columns(week=pl.col("scheduled_at").dt.truncate("1w").dt.date())
    weeks = [(f"{key[0]}", week.drop("week")) for key, week in rows.group_by("week", maintain_order=True)]
    return weeks[1:-1]


def weeks_observed(weeks: list[tuple[str, pl.DataFrame]]) -> list[Observed]:
    """The weeks as they are judged."""
    return [_observed(key, number, rows) for number, (key, rows) in enumerate(weeks)]


def planted(weeks: list[tuple[str, pl.DataFrame]], plant: Plant, rule: DriftReference) -> tuple[int, int]:
    """In how many seeds a change of two weeks in a row is an alarm in the second, for the column that changed."""
    random, hits, usual = np.random.default_rng(42), 0, weeks_observed(weeks)
    for _ in range(SEEDS):
        at, seed, exceeds, column = int(random.integers(LEAST_PAST, len(weeks) - 1)), int(random.integers(2**31)), [], ""
        for number in (at, at + 1):
            sample = weeks[number][1].sample(SAMPLED, with_replacement=True, seed=int(random.integers(2**31)))
            changed, column = plant(sample, np.random.default_rng(seed))
            exceeds.append(judged_alone(usual[:at], _observed("planted", number, changed), rule).exceeds)
        hits += column in exceeds[0] and column in exceeds[1]
    return hits, SEEDS


def _observed(key: str, number: int, rows: pl.DataFrame) -> Observed:
    columns = sorted((column for column in rows.drop("is_late") if column.dtype.is_numeric()), key=lambda column: column.name)
    numbers = {column.name: column.cast(pl.Float64).fill_null(float("nan")).to_numpy() for column in columns}
    return Observed(key, number, rows.height, count(rows), "", orders(numbers))


def _half_missing(rows: pl.DataFrame, random: np.random.Generator) -> Planted:
    column = str(random.choice(["distance", "seats", "forecast_temp", "carrier", "dest", "dep_minutes"]))
    is_gone = pl.Series(random.random(rows.height) < 0.5)
    return rows.with_columns(pl.when(~is_gone).then(column).alias(column)), column


def _frozen(rows: pl.DataFrame, random: np.random.Generator) -> Planted:
    column = str(random.choice(["distance", "seats", "carrier", "dest", "dep_minutes", "weekday", "plane_year"]))
    value = rows[column].drop_nulls().sample(1, seed=int(random.integers(2**31)))[0]
    return rows.with_columns(pl.lit(value).cast(rows.schema[column]).alias(column)), column


def _without_airport(rows: pl.DataFrame, random: np.random.Generator) -> Planted:
    return rows.filter(pl.col("origin") != str(random.choice(["EWR", "JFK", "LGA"]))), "origin"


def _swapped(rows: pl.DataFrame, _: np.random.Generator) -> Planted:
    both = {"forecast_temp": "forecast_dewp", "forecast_dewp": "forecast_temp"}
    return rows.with_columns(pl.col(other).alias(name) for name, other in both.items()), "forecast_dewp beside forecast_temp"


def _in_km(rows: pl.DataFrame, _: np.random.Generator) -> Planted:
    return rows.with_columns((pl.col("distance") * 1.609).cast(pl.Int64)), "distance"


def _clock(rows: pl.DataFrame, _: np.random.Generator) -> Planted:
    later = [((pl.col(name) + 60) % 1440).alias(name) for name in ("dep_minutes", "arr_minutes")]
    return rows.with_columns(*later, ((pl.col("dep_hour") + 1) % 24).alias("dep_hour")), "dep_minutes"


PLANTS: Mapping[str, Plant] = {
    "distance in km": _in_km,
    "swapped temperatures": _swapped,
    "half missing": _half_missing,
    "frozen column": _frozen,
    "an airport gone": _without_airport,
    "clock shifted by an hour": _clock,
}
