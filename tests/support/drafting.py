"""A table drafted without its last delivery, and that delivery as it is and corrupted, held to the drafted contract."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ml_assets.core.contract.engine import DeliveryAudit, audit, read_delivery
from ml_assets.core.contract.schema import rules_of
from ml_assets.core.draft.columns import SourceColumn
from ml_assets.core.draft.delivery_calendar import history_of
from ml_assets.core.draft.draft import Draft
from ml_assets.core.draft.drafting import drafted, planned
from ml_assets.core.draft.request import DraftRequest
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.services.new_product.drafting import WrittenProduct, new_product, write_product
from ml_assets.services.new_product.sources import read_sources
from ml_assets.services.new_product.stored_history import delivered_bytes
from ml_assets.spec.product import Product, load
from tests.support.drafted_tables import Table

KINDS = ("shifted", "scaled", "swapped", "emptied")
FACTOR = 100


@dataclass(frozen=True)
class HeldOut:
    """A product drafted from all deliveries but the last, `key`, whose rows as delivered are `frame`."""

    product: Product
    draft: Draft
    key: str
    frame: pl.DataFrame

    def judged(self, frame: pl.DataFrame) -> DeliveryAudit:
        """What the contract says of a delivery of these rows, written and read as any is."""
        content = delivered_bytes(frame, self.draft.spec)
        raw = read_delivery(content, table=self.draft.spec, name="held out")
        window = partitions_of(self.product).window(self.key)
        return audit({self.draft.table: raw}, product=self.product, partition_window=window)

    def corrupted(self) -> Iterator[tuple[str, str, pl.DataFrame]]:
        """Each column corrupted in each way that changes its values, with both names. An outcome without a limit of missing
        values may be missing as a whole, since it may not be known yet: to empty it corrupts nothing."""
        names = list(self.draft.columns)
        rules = rules_of(self.product.contract.TABLES[self.draft.table])
        awaited = set(rules.known_after) - set(rules.max_missing)
        for place, name in enumerate(names):
            column = self.draft.columns[name]
            other = names[(place + 1) % len(names)]
            texts = {"shifted": _shifted(self.frame, column, self.draft), "scaled": _scaled(self.frame, column, self.draft)}
            swapped = self.frame.with_columns(_like(self.frame, name, other), _like(self.frame, other, name))
            emptied = None if name in awaited else _emptied(self.frame, name)
            frames = {**texts, "swapped": swapped, "emptied": emptied}
            for kind, frame in frames.items():
                if frame is not None and not frame.equals(self.frame):
                    yield name, kind, frame


def held_out(table: Table, folder: Path) -> HeldOut:
    """Draft from all but the last whole delivery."""
    source = read_sources([str(table.file(folder / "source"))], query=None)
    options = dict(zip(table.options[::2], table.options[1::2], strict=True))
    request = DraftRequest(name=table.name, label=table.label, **{k.removeprefix("--"): v for k, v in options.items()})  # type: ignore[arg-type]
    whole = drafted(source.frame, source.spec, request, table=source.table)
    last = whole.history.keys[-1]
    earlier = source.frame.filter((whole.history.codes < last).fill_null(value=False))
    draft = drafted(earlier, source.spec, request, table=source.table)
    assert history_of(draft.columns[draft.roles.time.name].values, draft.history.every).every == whole.history.every
    product = load(write_product(folder / "products" / table.name, draft, planned(draft), port=8899))
    return HeldOut(product, draft, last, source.frame.filter((whole.history.codes == last).fill_null(value=False)))


def written(folder: Path, frame: pl.DataFrame, **options: object) -> WrittenProduct:
    """A product that `new` drafts and writes from a table."""
    path = folder / "rows.csv"
    frame.write_csv(path)
    request = DraftRequest(name="rows", label="label", **options)  # type: ignore[arg-type]
    source = read_sources([str(path)], query=None)
    places = {"root": folder / "products", "home": folder / "home"}
    return new_product(source, request, **places, taken_ports=(), time_format=None, say=lambda line: None)


def _shifted(frame: pl.DataFrame, column: SourceColumn, draft: Draft) -> pl.DataFrame | None:
    """Numbers by the range that was seen, times by a year, texts by one letter."""
    if column.is_number:
        low, high = (float(column.known.cast(pl.Float64).quantile(q) or 0) for q in (0, 1))
        return _numbers(frame, column, draft, lambda value: value + max(high - low, 1))
    if column.kind == "time":
        years = (
            frame[column.name].cast(pl.String).str.replace("2023", "2022").str.replace("2024", "2023").str.replace("2025", "2024")
        )
        return None if frame.schema[column.name] != pl.String else frame.with_columns(years)
    if column.kind == "text":
        return frame.with_columns(frame[column.name].map_elements(_next_letters, return_dtype=pl.String))
    return None


def _scaled(frame: pl.DataFrame, column: SourceColumn, draft: Draft) -> pl.DataFrame | None:
    """Numbers by a hundred, texts twice."""
    if column.is_number:
        return _numbers(frame, column, draft, lambda value: value * FACTOR)
    if column.kind == "text":
        return frame.with_columns((pl.col(column.name) + pl.col(column.name)).alias(column.name))
    return None


def _numbers(frame: pl.DataFrame, column: SourceColumn, draft: Draft, change: Any) -> pl.DataFrame:
    """The numbers of a column changed, in the form in which they are written."""
    values = frame[column.name]
    if values.dtype != pl.String:
        return frame.with_columns(change(values).cast(values.dtype).alias(column.name))
    comma = draft.spec.decimal == ","
    known = values.str.replace(",", ".") if comma else values
    changed = change(known.cast(pl.Float64, strict=False)).round(6)
    whole = changed.cast(pl.Int64, strict=False).cast(pl.String) if column.kind == "integer" else changed.cast(pl.String)
    written = whole.str.replace(".", ",", literal=True) if comma else whole
    return frame.with_columns(written.zip_with(changed.is_not_null(), written).fill_null(values).alias(column.name))


def _like(frame: pl.DataFrame, name: str, other: str) -> pl.Series:
    """The values of the other column in the place of this one."""
    return frame[other].alias(name)


def _emptied(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    empty: Any = "" if frame.schema[name] == pl.String else None
    return frame.with_columns(pl.lit(empty, dtype=frame.schema[name]).alias(name))


def _next_letters(text: str) -> str:
    return "".join(chr(ord(letter) + 1) for letter in text)
