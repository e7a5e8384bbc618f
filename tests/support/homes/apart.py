"""The shop, whose outcomes come in a table of their own, weeks later: `returns`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resources.outcome_files import put_outcomes
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import Row, csv_bytes, rows, shop

LABELS = "labels: {matures: 30d, delivered: {returns: {format: csv, time: known_at}}}\nwindow: {train"
WORTH = "value: {true_positive: 5, false_positive: -1, false_negative: -3}, "
_ORDERS = r'    came_back: int = pa.Field\(nullable=True, isin=\[0, 1\], metadata=\{"known": "after"\}\)\n'
_RETURNS = '''class Returns(pa.DataFrameModel):
    """What became of orders, as far as it is known."""

    id: str
    came_back: int = pa.Field(isin=[0, 1])
    known_at: datetime

    class Config:
        strict = True
        unique = ["id"]
        metadata = {"max_quarantined": 0.5}


TABLES = {"orders": Orders, "returns": Returns}'''
NULL_LABELS = {
    "shop_labels.sql": "select id, cast(null as bigint) as came_back from {{ source('dataset', 'orders') }}",
}


def apart(folder: Path, *edits: tuple[str, str], labels: str = LABELS) -> Home:
    """A new home with this shop in it; `labels` is its section, up to what follows it."""
    return shop(
        folder,
        (r"window: \{train", labels),
        (r"monitoring: \{", "monitoring: {" + WORTH),
        *edits,
        contract=[(_ORDERS, ""), (r'TABLES = \{"orders": Orders\}', _RETURNS)],
        dbt=NULL_LABELS,
    )


def orders(day: str) -> list[Row]:
    """The orders of a day, without what became of them."""
    return [{name: value for name, value in row.items() if name != "came_back"} for row in rows(day)]


def deliver_orders(home: Home, *days: str) -> None:
    for day in days:
        home.deliver(day, {"orders": csv_bytes(orders(day))})


def returns(day: str, *, only: Sequence[int] | None = None, after: str = "2024-04-01") -> list[Row]:
    """What became of the orders of a day, of all or of those with these numbers."""
    known = rows(day)
    numbers = range(len(known)) if only is None else only
    return [{"id": known[n]["id"], "came_back": known[n]["came_back"], "known_at": f"{after}T00:00:00"} for n in numbers]


def deliver_returns(home: Home, day: str, table: Sequence[Mapping[str, Any]] | None = None) -> Path:
    return put_outcomes(home.space.landing, home.product, day, csv_bytes([*(returns(day) if table is None else table)]))
