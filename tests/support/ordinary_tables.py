"""Columns as people write them: names of any kind, numbers with something around them, times of several zones, ids."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

START = datetime(2024, 1, 1)
ZONES = {"+00:00": 0, "+02:00": 120, "-05:00": -300, "Z": 0, "+05:30": 330}
"""What a time ends in, and the minutes from UTC."""


@dataclass(frozen=True)
class Rows:
    """Rows over 120 days: `at` when, `x` a number that tells the label, `kind` one of three texts, `label` yes or no."""

    random: np.random.Generator
    at: Sequence[datetime]
    x: np.ndarray
    kind: np.ndarray
    label: np.ndarray

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.at)

    def frame(self, **columns: object) -> pl.DataFrame:
        """A table of the time, these columns and the label, under the names `at` and `label`."""
        return pl.DataFrame({"at": self.at, **columns, "label": self.label.astype(int)})


def rows(count: int = 2000, *, days: int = 120, seed: int = 0) -> Rows:
    """The same rows for the same arguments."""
    random = np.random.default_rng(seed)
    at = [START + timedelta(minutes=int(minute)) for minute in np.sort(random.integers(0, days * 24 * 60, count))]
    x, kind = random.normal(size=count), random.choice(["a", "b", "c"], count)
    label = random.random(count) < 1 / (1 + np.exp(-(1.8 * x + (kind == "a") - 0.4)))
    return Rows(random, at, x.round(3), kind, label)


def with_zone(moment: datetime, number: int) -> str:
    """The moment (UTC) as it is written in one of several zones."""
    zone, minutes = [*ZONES.items()][number % len(ZONES)]
    return f"{(moment + timedelta(minutes=minutes)).isoformat()}{zone}"


WRITTEN: dict[str, Callable[[float], str]] = {
    "percent": lambda value: f"{10 * value + 50:.1f}%",
    "thousands": lambda value: f"{20_000 + 4000 * value:,.0f}",
    "currency": lambda value: f"${20_000 + 4000 * value:,.2f}",
    "brackets": lambda value: f"({-1000 * value:,.2f})" if value < 0 else f"{1000 * value:,.2f}",
    "unit": lambda value: f"{value + 50:.1f} kg",
    "signed currency": lambda value: f"-€{-1000 * value:,.2f}" if value < 0 else f"€{1000 * value:,.2f}",
}
"""Ways to write a number for people."""
NUMBERS: dict[str, Callable[[float], float]] = {
    "percent": lambda value: float(f"{10 * value + 50:.1f}"),
    "thousands": lambda value: float(f"{20_000 + 4000 * value:.0f}"),
    "currency": lambda value: float(f"{20_000 + 4000 * value:.2f}"),
    "brackets": lambda value: float(f"{1000 * value:.2f}"),
    "unit": lambda value: float(f"{value + 50:.1f}"),
    "signed currency": lambda value: float(f"{1000 * value:.2f}"),
}
"""The numbers that these are."""


def everything() -> pl.DataFrame:
    """A table with all of them: our own words, words of SQL and other alphabets as names, decorated numbers, ids, constants."""
    table = rows()
    random, count = table.random, table.count
    return pl.DataFrame(
        {
            "zeit": [with_zone(moment, number) for number, moment in enumerate(table.at)],
            "row": np.arange(count) % 50,
            "key": random.random(count).round(2),
            "score": random.random(count).round(3),
            "reason": random.choice(["late", "lost"], count),
            "partition": table.kind,
            "select": random.integers(0, 9, count),
            "from": random.choice(["north", "south"], count),
            "class": random.random(count).round(3),
            "größe": [WRITTEN["currency"](value) for value in table.x],
            "rabatt": [WRITTEN["percent"](value) for value in random.normal(size=count)],
            "数量": random.integers(0, 9, count),
            "id": [
                str(uuid.UUID(int=(int(high) << 64) | number)) for number, high in enumerate(random.integers(0, 2**62, count))
            ],
            "always": ["same"] * count,
            "never": [""] * count,
            "label": np.where(table.label, "yes", "no"),
        }
    )
