"""The orders of `shop` in a database, which its source asks: SQLite where nothing else is said."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy

from tests.support.homes.path_homes import Home
from tests.support.homes.shop import rows, shop

VARIABLE = "SHOP_DATABASE"
SOURCE = """\
sources:
  orders:
    database: env:SHOP_DATABASE
    sql: select id, placed_at, city, amount, items, came_back from orders where placed_at >= :start and placed_at < :end
"""
AS_PARQUET = (r"orders: \{format: csv", "orders: {format: parquet")


def shop_with_source(folder: Path, source: str = SOURCE) -> Home:
    """A shop whose orders come from a declared source."""
    return shop(folder, AS_PARQUET, (r"(?m)^features: ", f"{source}\nfeatures: "))


def insert(url: str, day: str, *, count: int = 40, **columns: Any) -> None:
    """Insert the orders of a day, in an order that is not that of their keys."""
    table = [{**row, "placed_at": datetime.fromisoformat(row["placed_at"])} for row in rows(day, count=count, **columns)]
    ask(url, None)
    values = ", ".join(f":{name}" for name in table[0])
    with connected(url) as connection:
        if connection.dialect.name == "sqlite":
            table = [{**row, "placed_at": row["placed_at"].isoformat(" ")} for row in table]
        connection.execute(sqlalchemy.text(f"insert into orders ({', '.join(table[0])}) values ({values})"), table[::-1])


def ask(url: str, statement: str | None) -> Sequence[Any]:
    """Run a statement on the database; None makes the table where it is missing."""
    create = (
        "create table if not exists orders (id text primary key, placed_at timestamp, city text, amount double precision, "
        "items integer, came_back integer)"
    )
    with connected(url) as connection:
        result = connection.execute(sqlalchemy.text(statement or create))
        return result.fetchall() if result.returns_rows else []


@contextmanager
def connected(url: str) -> Iterator[sqlalchemy.Connection]:
    """A transaction on the database."""
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
