"""The product `shop` (tests/products): a few dozen orders a day, the smallest product that goes down the whole path."""

import csv
import io
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_assets.spec.product import load
from tests.support.homes.path_homes import Home, home

SHOP = Path(__file__).parents[2] / "products" / "shop"
DAYS = ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04")
"""The first days of the product. The second has the first candidate: it is released and promoted."""
Edit = tuple[str, str]
Row = dict[str, Any]


def shop(folder: Path, *edits: Edit, contract: Sequence[Edit] = (), dbt: Mapping[str, str] | None = None) -> Home:
    """A new home with the shop in it.

    `edits` are pairs of pattern and replacement in product.yaml, `contract` the same in contract.py; `dbt` are files of the
    dbt folder, written whole: {"shop_features.sql": "select …"}.
    """
    own_home = home(folder, load(SHOP))
    if edits:
        own_home.edit("product.yaml", *edits)
    if contract:
        own_home.edit("contract.py", *contract)
    for name, text in (dbt or {}).items():
        (own_home.declared / "dbt" / name).write_text(text, encoding="utf-8")
    return own_home


def rows(day: str, *, count: int = 40, seed: int = 0, **columns: Any) -> list[Row]:
    """The orders of a day, the same for the same arguments.

    `columns` replace a column's values, or add a column: by one value, or by a function of the row's number and the row.
    """
    chance = random.Random(f"{day} {seed}")
    return [_order(day, number, chance, columns) for number in range(count)]


def csv_bytes(table: Sequence[Row]) -> bytes:
    """The rows as a CSV file with a header. None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def deliver(own_home: Home, *days: str, **columns: Any) -> None:
    """Put the orders of these days into the landing folder; `columns` as for `rows`."""
    for day in days:
        own_home.deliver(day, {"orders": csv_bytes(rows(day, **columns))})


def _order(day: str, number: int, chance: random.Random, columns: Mapping[str, Any]) -> Row:
    amount = round(chance.uniform(1, 100), 2)
    row: Row = {
        "id": f"{day}-{number}",
        "placed_at": f"{day}T{number % 24:02}:{number % 60:02}:00",
        "city": chance.choice(["Bonn", "Köln", "Ulm"]),
        "amount": amount,
        "items": chance.randint(1, 9),
        "came_back": int(amount + chance.uniform(-30, 30) > 50),
    }
    for name, value in columns.items():
        row[name] = value(number, row) if callable(value) else value
    return row
