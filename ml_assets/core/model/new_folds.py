"""The folds that new rows of a static table open once every reserve fold was a test window.

A key that no earlier delivery had was trained and tested on by nobody. Its hash decides as ever: the training share is trained on
from then on, and the rest waits, until as many are there as make a fold and an outcome of each is known.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.model.split import FOLDS, PART, TRAINING, division, hashed
from ml_assets.spec.partitions import delivery_number
from ml_assets.spec.product import Product


def with_folds(
    features: Output, earlier: Sequence[Handle], product: Product, partition: str, *, is_reopened: bool = False
) -> Output:
    """A features snapshot with the part of each key that any delivery has had so far, null while it waits for its fold, and the
    fact how large the fold of this delivery is. `earlier`: the features of those before it. `is_reopened`: a person lets the last
    fold be tested on once more, where no new one opens."""
    number, columns = delivery_number(partition), division(product)
    rows = pl.read_parquet(io.BytesIO(features.files["features.parquet"]))
    units = rows.group_by(columns, maintain_order=True).agg(pl.col(product.features.label).is_not_null().any().alias("is_known"))
    known = _known(earlier, product, columns, rows)
    table = pl.concat([known, _new(units, known, columns, product)], how="vertical_relaxed")
    last = table[PART].max()
    waiting = units.filter("is_known").join(table.filter(pl.col(PART).is_null()), on=columns, how="semi", nulls_equal=True)
    needed = fewest(product, units.height)
    opened = waiting.select(columns) if waiting.height >= needed else None
    if opened is None and is_reopened:
        opened = table.filter(pl.col(PART) == last).select(columns)
    if opened is not None:
        moved = opened.with_columns(pl.lit(number, pl.Int64).alias("moved"))
        joined = table.join(moved, on=columns, how="left", nulls_equal=True, maintain_order="left")
        table = joined.select(*columns, pl.coalesce("moved", PART).alias(PART))
    tested = units.join(table.filter(pl.col(PART) == number), on=columns, how="semi", nulls_equal=True)
    fold: dict[str, Any] = {"units": tested.height, "waiting": waiting.height, "needed": needed}
    fold |= {"reopened": last} if is_reopened and waiting.height < needed else {}
    files = {**features.files, FOLDS: parquet_bytes(table.sort(columns))}
    return replace(features, files=files, facts={**features.facts, "fold": fold})


def fewest(product: Product, units: int) -> int:
    """How many new keys, or groups, make a fold: as declared, or as many as a reserve fold of this delivery has on average."""
    spec = product.split
    return spec.new_fold or max(1, math.ceil(units * (1 - spec.train) / spec.folds))


def _known(earlier: Sequence[Handle], product: Product, columns: list[str], rows: pl.DataFrame) -> pl.DataFrame:
    """The keys of earlier deliveries with their parts: of those that the reserve folds are for, by their hash."""
    none = rows.select(columns).clear().with_columns(pl.lit(None, pl.Int64).alias(PART))
    return pl.concat([none, *(_parts(handle, product, columns) for handle in earlier)], how="vertical_relaxed").unique(
        columns, keep="first", maintain_order=True
    )


def _parts(handle: Handle, product: Product, columns: list[str]) -> pl.DataFrame:
    if FOLDS in handle.members:
        return handle.frame(FOLDS)
    keys = handle.frame("features.parquet").select(columns).unique(maintain_order=True)
    return keys.with_columns(hashed(keys, product).alias(PART))


def _new(units: pl.DataFrame, known: pl.DataFrame, columns: list[str], product: Product) -> pl.DataFrame:
    """The keys that no earlier delivery had: those of the training share at once, all others wait."""
    keys = units.join(known, on=columns, how="anti", nulls_equal=True, maintain_order="left").select(columns)
    part = hashed(keys, product)
    return keys.with_columns(pl.when(part == TRAINING).then(part).otherwise(None).alias(PART))
