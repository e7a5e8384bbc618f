"""Bad deliveries of `shop`, generated: refused with which words, quarantined, or taken; no row is lost, and nothing crashes."""
# ruff: noqa: E501 - a table, one line a delivery

import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from ml_assets.core.contract.engine import DeliveryAudit, audit, read_delivery
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product, load
from tests.support.homes.shop import DAYS, SHOP, Row, csv_bytes, rows

DAY = DAYS[0]
WINDOW = (datetime(2024, 3, 1), datetime(2024, 3, 2))
Bytes = Callable[[], bytes]


def table(**columns: Any) -> list[Row]:
    return rows(DAY, **columns)


def column(name: str, value: Any, *, every: int = 10) -> Bytes:
    """A good CSV with one value in every so many rows of a column."""
    return lambda: csv_bytes(table(**{name: lambda number, row: value if number % every == 0 else row[name]}))


def whole(name: str, value: Callable[[int, Row], Any]) -> Bytes:
    return lambda: csv_bytes(table(**{name: value}))


def written(change: Callable[[bytes], bytes]) -> Bytes:
    return lambda: change(csv_bytes(table()))


def parquet(**columns: Any) -> Bytes:
    def content() -> bytes:
        frame = pl.DataFrame(table()).with_columns(pl.col("placed_at").str.to_datetime())
        file = io.BytesIO()
        frame.with_columns(**columns).write_parquet(file)
        return file.getvalue()

    return content


@dataclass(frozen=True)
class Taken:
    """All rows but `refused`, which have these reasons."""

    refused: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Refused:
    """Not read, or not published; the message has these words."""

    words: str


REPEATED = [*table()[:39], table()[0]]
DELIVERIES: dict[str, tuple[str, Bytes, Taken | Refused]] = {
    "as it should be": ("csv", written(lambda c: c), Taken()),
    "carriage returns": ("csv", written(lambda c: c.replace(b"\n", b"\r")), Taken()),
    "both line ends": ("csv", written(lambda c: c.replace(b"\n", b"\r\n")), Taken()),
    "a byte order mark": ("csv", written(lambda c: b"\xef\xbb\xbf" + c), Taken()),
    "no last line end": ("csv", written(lambda c: c.rstrip(b"\n")), Taken()),
    "blank lines at the end": ("csv", written(lambda c: c + b"\n\n"), Taken()),
    "a very long text": ("csv", column("city", "x" * 140_000, every=40), Taken()),
    "a text with separator, quote and line end": ("csv", column("city", 'Bonn, "am Rhein"\n', every=40), Taken()),
    "columns in another order": ("csv", lambda: csv_bytes([dict(reversed(row.items())) for row in table()]), Taken()),
    "whole floats as integers": ("csv", whole("items", lambda _, row: f"{row['items']}.0"), Taken()),
    "integers beyond 2^53": ("csv", whole("items", lambda number, _: 2**53 + number), Taken()),
    "dates without a time": ("csv", whole("placed_at", lambda *_: DAY), Taken()),
    "times with an offset": ("csv", whole("placed_at", lambda *_: f"{DAY}T12:00:00+02:00"), Taken()),
    "nothing": ("csv", lambda: b"", Refused("the file has no content")),
    "a header alone": ("csv", written(lambda c: c.split(b"\n")[0] + b"\n"), Refused("no rows")),
    "noise": ("csv", lambda: bytes(range(256)) * 9, Refused("orders.csv:")),
    "cut short": ("csv", written(lambda c: c[: len(c) // 2].rsplit(b",", 2)[0]), Refused("the file was cut short")),
    "a ragged row": ("csv", written(lambda c: c.replace(b"\n", b",x\n", 2)), Refused("do not have")),
    "a quote that never ends": ("csv", written(lambda c: c + b'"x'), Refused("a quoted field never ends")),
    "semicolons": ("csv", written(lambda c: c.replace(b",", b";")), Refused('add `separator: ";"`')),
    "one column whose name is the whole header": ("csv", lambda: b"id placed_at city\n" + b"x\n" * 9, Refused("column 'id' is missing; delivered beyond the contract: id placed_at city")),
    "tabs": ("csv", written(lambda c: c.replace(b",", b"\t")), Refused("add `separator:")),
    "gzip": ("csv", written(lambda c: gzip.compress(c, mtime=0)), Refused("add `compression: gzip`")),
    "zlib": ("csv", written(zlib.compress), Refused("orders.csv:")),
    "UTF-16": ("csv", written(lambda c: c.decode().encode("utf-16")), Refused("add `encoding: utf-16`")),
    "Latin-1": ("csv", written(lambda c: c.decode().encode("latin-1")), Refused("with `encoding: cp1252` it would read")),
    "a zip archive": ("csv", lambda: b"PK\x03\x04\x14\x00\x08\xff", Refused("a zip archive or an Excel workbook")),
    "Parquet called CSV": ("csv", parquet(), Refused("declare `format: parquet`")),
    "CSV called Parquet": ("parquet", written(lambda c: c), Refused("does not begin like a Parquet file")),
    "half of a Parquet file": ("parquet", lambda: parquet()()[:500], Refused("the file was cut short")),
    "a column renamed": ("csv", written(lambda c: c.replace(b"amount", b"price", 1)), Refused("column 'amount' is missing")),
    "a column twice": ("csv", written(lambda c: c.replace(b"amount", b"city", 1)), Refused("twice: city")),
    "a column more": ("csv", whole("price", lambda *_: 1), Refused("'price' is not in the contract")),
    "another day": ("csv", lambda: csv_bytes(rows(DAYS[1])), Refused("100 % of rows lie outside the partition")),
    "two rows": ("csv", lambda: csv_bytes(table()[:2]), Refused("2 valid rows of 2 delivered, at least 5 needed")),
    "decimal commas": ("csv", whole("amount", lambda _, row: str(row["amount"]).replace(".", ",")), Refused('add `decimal: ","`')),
    "day first": ("csv", whole("placed_at", lambda *_: "01/03/2024 12:00"), Refused('day first? add `datetime_format: "%d/%m/%Y %H:%M"`')),
    "epochs": ("csv", whole("placed_at", lambda *_: 1709294400), Refused("add `datetime_format: epoch_s`")),
    "every row twice, differently": ("csv", lambda: csv_bytes(table() + table(city="Rom")), Refused("unique_key.conflict 80")),
    "some fractions as integers": ("csv", column("items", "2.5"), Taken(4, "items.type")),
    "some infinite amounts": ("csv", column("amount", "inf"), Taken(4, "amount.type")),
    "some amounts that are none": ("csv", column("amount", "free"), Taken(4, "amount.type")),
    "some cities missing": ("csv", column("city", "NA"), Taken(4, "city.missing")),
    "some impossible days": ("csv", column("placed_at", "2024-02-30T12:00:00"), Taken(4, "placed_at.type")),
    "some rows of another day": ("csv", column("placed_at", "2024-03-02T00:00:00"), Taken(4, "placed_at.partition")),
    "some labels of another kind": ("csv", column("came_back", "2"), Taken(4, "came_back.isin")),
    "a row twice": ("csv", lambda: csv_bytes(REPEATED), Taken(1, "unique_key")),
    "decimals as integers": ("parquet", parquet(items=pl.lit(Decimal("3.00"))), Taken()),
    "some fractions among decimals": ("parquet", parquet(items=pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.lit(Decimal("2.99"))).otherwise(pl.lit(Decimal("3.00")))), Taken(4, "items.type")),
    "whole floats of a Parquet file": ("parquet", parquet(items=pl.lit(3.0)), Taken()),
    "categories": ("parquet", parquet(city=pl.col("city").cast(pl.Categorical)), Taken()),
    "zoned times": ("parquet", parquet(placed_at=pl.col("placed_at").dt.replace_time_zone("UTC")), Taken()),
    "booleans as labels": ("parquet", parquet(came_back=pl.col("came_back").cast(pl.Boolean)), Taken()),
    "numbers as text": ("parquet", parquet(city=pl.lit(5)), Refused("city.type 40")),
    "lists": ("parquet", parquet(items=pl.concat_list("items")), Refused("items.type 40")),
    "spans of time": ("parquet", parquet(amount=pl.lit(timedelta(1))), Refused("amount.type 40")),
    "structs": ("parquet", parquet(city=pl.struct("city")), Refused("city.type 40")),
    "binary": ("parquet", parquet(city=pl.lit(b"Bonn")), Refused("city.type 40")),
}  # fmt: skip


@pytest.fixture(scope="module")
def product() -> Product:
    return load(SHOP)


def audited(product: Product, style: str, content: bytes) -> tuple[pl.DataFrame, DeliveryAudit]:
    declared = product.table("orders").model_copy(update={"format": style})
    raw = read_delivery(content, table=declared, name=f"orders.{style}")
    return raw, audit({"orders": raw}, product=product, partition_window=WINDOW)


@pytest.mark.parametrize("name", DELIVERIES)
def test_a_delivery_is_taken_quarantined_or_refused_with_words(product: Product, name: str) -> None:
    style, content, expected = DELIVERIES[name]
    if isinstance(expected, Refused):
        with pytest.raises(MlAssetsError) as caught:  # noqa: PT012 - refused when it is read, or when it is held to the contract
            _, breaches = audited(product, style, content())
            breaches.raise_if_breached(product="shop", partition=DAY)
        assert expected.words in str(caught.value)
        assert "eliver" in str(caught.value)
        return
    raw, breaches = audited(product, style, content())
    assert not breaches.breaches
    orders = breaches.tables["orders"]
    assert orders.valid.height + orders.refused.height == raw.height
    assert orders.refused.height == expected.refused
    assert set(orders.reasons if expected.refused else {}) == ({expected.reason} - {""})
