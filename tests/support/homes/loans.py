"""The product `loans` (tests/products): a table without a time, delivered whole again and again, with overlapping keys."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_assets.spec.product import load
from tests.support.homes.path_homes import Home, home
from tests.support.homes.shop import csv_bytes

LOANS = Path(__file__).parents[2] / "products" / "loans"
KEYS = ("0001", "0002", "0003", "0004", "0005")
"""Five deliveries: one for each of the four reserve folds, and one more."""
ROWS = 600
NEW = 60
"""Loans that are new in each delivery; as many of the oldest are not in it any more."""


def loans(folder: Path, *edits: tuple[str, str]) -> Home:
    """A new home with the product in it; `edits` are pairs of pattern and replacement in product.yaml."""
    own_home = home(folder, load(LOANS))
    if edits:
        own_home.edit("product.yaml", *edits)
    return own_home


def rows(key: str, *, count: int = ROWS) -> list[dict[str, Any]]:
    """The loans of one delivery: each loan looks the same in all of them."""
    first = (int(key) - 1) * NEW + 1
    return [_loan(number) for number in range(first, first + count)]


def deliver(own_home: Home, *keys: str, table: Sequence[dict[str, Any]] | None = None) -> None:
    """Put these deliveries into the landing folder; `table` in the place of their rows."""
    for key in keys:
        own_home.deliver(key, {"loans": csv_bytes(table or rows(key))})


def _loan(number: int) -> dict[str, Any]:
    chance = random.Random(number)
    income, amount = round(chance.uniform(1000, 9000), 2), chance.randint(500, 20_000)
    return {
        "loan_id": number,
        "city": chance.choice(["Bonn", "Köln", "Ulm"]),
        "income": "" if number % 50 == 0 else income,
        "is_owner": str(chance.random() < 0.4).lower(),
        "amount": amount,
        "is_late": int(amount / income + chance.uniform(-2, 2) > 2.5),
    }
