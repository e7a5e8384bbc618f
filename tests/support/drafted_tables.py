"""Tables as teams have them, each made from a seed: keys, levels, trends, missing words, dialects, leaks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

START = datetime(2023, 1, 2)
Rng = np.random.Generator


@dataclass(frozen=True)
class Table:
    """`label` and `options` are arguments of `ml-assets new`; `write` are polars' options of CSV, None for Parquet."""

    name: str
    frame: pl.DataFrame
    label: str
    options: tuple[str, ...] = ()
    write: dict[str, Any] | None = field(default_factory=dict)
    encoding: str = "utf-8"

    def file(self, folder: Path) -> Path:
        """The table as a file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.{'csv' if self.write is not None else 'parquet'}"
        if self.write is None:
            self.frame.write_parquet(path)
        else:
            path.write_bytes(self.frame.write_csv(**self.write).encode(self.encoding))
        return path


def tables(seed: int) -> list[Table]:
    """Ten tables."""
    makers: list[Callable[[Rng], Table]] = [churn, loads, orders, sensors, claims, rides, prices, visits, loans, yields]
    return [make(np.random.default_rng([seed, number])) for number, make in enumerate(makers)]


def churn(rng: Rng) -> Table:
    """Binary by text, a plain key, missing words among numbers, a column that only the outcome fills."""
    n = 2400
    plan, spent = rng.choice(["basic", "plus", "pro"], n, p=[0.5, 0.3, 0.2]), rng.gamma(2, 20, n)
    left = rng.random(n) < _chance(-1.2 + 0.9 * (plan == "basic") - 0.02 * (spent - 40))
    frame = _dated(rng, n, days=300).with_columns(
        customer_id=pl.Series([f"C{number:06d}" for number in range(n)]),
        plan=pl.Series(plan),
        spent=pl.Series([("?" if rng.random() < 0.05 else f"{value:.2f}") for value in spent]),
        seats=pl.Series(rng.integers(1, 60, n)),
        closed_reason=pl.Series([("price" if rng.random() < 0.5 else "other") if gone else "" for gone in left]),
        churned=pl.Series(np.where(left, "yes", "no")),
    )
    return Table("churn", frame, "churned")


def loads(rng: Rng) -> Table:
    """Regression by hour, one row an hour, semicolons and decimal commas."""
    n = 24 * 70
    hours, temp = np.arange(n), 12 + 8 * np.sin(np.arange(n) / 24 * 2 * np.pi) + rng.normal(0, 2, n)
    load = 300 + 40 * np.sin(hours / 24 * 2 * np.pi - 1) - 3 * temp + rng.normal(0, 8, n)
    frame = pl.DataFrame(
        {
            "Zeit": [(START + timedelta(hours=int(h))).strftime("%d.%m.%Y %H:%M") for h in hours],
            "Temp °C": [f"{value:.1f}".replace(".", ",") for value in temp],
            "Holiday": ["true" if (h // 24) % 11 == 0 else "false" for h in hours],
            "Load MW": [f"{value:.2f}".replace(".", ",") for value in load],
        }
    )
    return Table("loads", frame, "Load MW", write={"separator": ";"}, encoding="cp1252")


def orders(rng: Rng) -> Table:
    """Binary by 0 and 1 with no column that names a row, as Parquet; a boolean and a zip code with zeros."""
    n = 3000
    amount, express = rng.lognormal(3, 0.6, n), rng.random(n) < 0.3
    back = rng.random(n) < _chance(-1.5 + 0.03 * (amount - 20) + 0.8 * express)
    frame = pl.DataFrame(
        {
            "placed": [START + timedelta(minutes=int(m)) for m in np.sort(rng.integers(0, 60 * 24 * 100, n))],
            "amount": np.round(amount, 2),
            "items": rng.integers(1, 9, n),
            "express": express,
            "zip": [f"{number:05d}" for number in rng.integers(1000, 99999, n)],
            "returned": back.astype(np.int64),
        }
    )
    return Table("orders", frame, "returned", write=None)


def sensors(rng: Rng) -> Table:
    """Regression by group and time, with a sum of parts that cannot be known."""
    n, names = 60 * 24, ["north", "south", "west"]
    parts = [(START + timedelta(hours=h), name) for h in range(n) for name in names]
    wind = rng.gamma(2, 3, len(parts))
    base = np.array([{"north": 5.0, "south": 9.0, "west": 14.0}[name] for _, name in parts])
    day, night = np.round(base + wind + rng.normal(0, 1, len(parts)), 3), np.round(rng.gamma(3, 1, len(parts)), 3)
    frame = pl.DataFrame(
        {
            "at": [when for when, _ in parts],
            "site": [name for _, name in parts],
            "wind": np.round(wind, 2),
            "pressure": np.round(rng.normal(1013, 6, len(parts)), 1),
            "part_a": day,
            "part_b": night,
            "total": np.round(day + night, 3),
        }
    )
    return Table("sensors", frame, "total")


def claims(rng: Rng) -> Table:
    """Binary by month over years, a rare yes, a level that keeps coming, American dates."""
    n = 6000
    days = np.sort(rng.integers(0, 900, n))
    age, cost = rng.integers(18, 90, n), rng.lognormal(6, 1, n)
    fraud = rng.random(n) < _chance(-3.6 + 0.7 * (np.log(cost) - 6) + 0.02 * (age - 50))
    frame = pl.DataFrame(
        {
            "claim": np.arange(n) + 50_000,
            "filed": [(START + timedelta(days=int(d))).strftime("%m/%d/%Y") for d in days],
            "age": age,
            "cost": np.round(cost, 2),
            "agent": [f"AG-{int(rng.integers(1, 40 + d // 2)):04d}" for d in days],
            "kind": rng.choice(["auto", "home", "health"], n),
            "fraud": np.where(fraud, "fraud", "fine"),
        }
    )
    return Table("claims", frame, "fraud")


def rides(rng: Rng) -> Table:
    """Regression with two times, one of them later: it is not known before."""
    n = 4000
    start = [START + timedelta(minutes=int(m)) for m in np.sort(rng.integers(0, 60 * 24 * 90, n))]
    km = rng.gamma(2, 2, n)
    minutes = np.round(4 + 2.5 * km + rng.gamma(2, 1.5, n), 1)
    frame = pl.DataFrame(
        {
            "pickup": start,
            "dropoff": [begin + timedelta(minutes=float(m)) for begin, m in zip(start, minutes, strict=True)],
            "zone": rng.choice(["A1", "B2", "C3", "D4"], n),
            "km": np.round(km, 2),
            "passengers": rng.integers(1, 6, n),
            "minutes": minutes,
        }
    )
    return Table("rides", frame, "minutes", ("--time", "pickup"))


def prices(rng: Rng) -> Table:
    """Regression of a trend by week, with calendar columns of its own."""
    n = 5000
    days = np.sort(rng.integers(0, 365, n))
    size, rooms = rng.gamma(6, 14, n) + 20, rng.integers(1, 7, n)
    when = [START + timedelta(days=int(d)) for d in days]
    frame = pl.DataFrame(
        {
            "listing": [f"L{number}" for number in rng.permutation(n) + 10_000],
            "listed": [day.strftime("%Y-%m-%d") for day in when],
            "year": [day.year for day in when],
            "month": [day.month for day in when],
            "size": np.round(size, 1),
            "rooms": rooms,
            "index": np.round(100 + days * 0.05 + rng.normal(0, 0.4, n), 2),
            "price": np.round(900 * size + 20_000 * rooms + 150 * days + rng.normal(0, 9000, n), -2),
        }
    )
    return Table("prices", frame, "price", ("--every", "week"))


def visits(rng: Rng) -> Table:
    """Binary by boolean, tab-separated, NA for missing, quoted texts with separators."""
    n = 4000
    pages, channel = rng.poisson(4, n) + 1, rng.choice(["ad, search", "ad, social", "direct", "mail"], n)
    bought = rng.random(n) < _chance(-3 + 0.35 * pages + 0.8 * (channel == "mail"))
    frame = _dated(rng, n, days=60, name="seen_at").with_columns(
        session=pl.Series([f"{number:08x}" for number in rng.permutation(n) + 16**6]),
        channel=pl.Series(channel),
        pages=pl.Series(pages),
        seconds=pl.Series([None if rng.random() < 0.1 else round(float(v), 1) for v in rng.gamma(2, 60, n)]),
        device=pl.Series(rng.choice(["phone", "tablet", "desk"], n, p=[0.6, 0.1, 0.3])),
        bought=pl.Series(np.where(bought, "True", "False")),
    )
    return Table("visits", frame, "bought", write={"separator": "\t", "null_value": "NA"})


def loans(rng: Rng) -> Table:
    """Binary with an outcome that tells the label alone, and constants."""
    n = 3600
    income, debt = rng.lognormal(10, 0.4, n), rng.gamma(2, 4000, n)
    bad = rng.random(n) < _chance(-2.2 + 2.0 * (debt / income - 0.3))
    frame = _dated(rng, n, days=540, name="granted").with_columns(
        loan=pl.Series(np.arange(n)),
        income=pl.Series(np.round(income)),
        debt=pl.Series(np.round(debt, 2)),
        purpose=pl.Series(rng.choice(["car", "house", "study"], n)),
        currency=pl.Series(["EUR"] * n),
        recovered=pl.Series(np.where(bad, np.round(debt * rng.random(n), 2) + 0.01, 0.0)),
        defaulted=pl.Series(bad.astype(np.int64)),
    )
    return Table("loans", frame, "defaulted")


def yields(rng: Rng) -> Table:
    """Regression by shift with units of a group, negative and tiny numbers."""
    n = 3000
    line, bias = rng.choice(["L1", "L2", "L3", "L4", "L5", "L6"], n), rng.normal(0, 0.002, n)
    temp = rng.normal(-18, 3, n)
    frame = _dated(rng, n, days=120, name="made_at").with_columns(
        batch=pl.Series([f"B-{number:05d}" for number in range(n)]),
        line=pl.Series(line),
        chill=pl.Series(np.round(temp, 2)),
        drift=pl.Series(np.round(bias, 5)),
        share=pl.Series(np.round(rng.beta(8, 2, n), 4)),
        loss=pl.Series(np.round(5 + 0.3 * temp + 400 * bias + rng.normal(0, 0.5, n), 3)),
    )
    return Table("yields", frame, "loss")


def _dated(rng: Rng, n: int, *, days: int, name: str = "at") -> pl.DataFrame:
    minutes = np.sort(rng.integers(0, days * 24 * 60, n))
    return pl.DataFrame({name: [(START + timedelta(minutes=int(m))).isoformat() for m in minutes]})


def _chance(score: Any) -> Any:
    return 1 / (1 + np.exp(-score))
