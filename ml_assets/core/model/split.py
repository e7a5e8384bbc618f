"""The rows of a static table by their key: what a candidate trains on, what it is tested on, and what a release has never seen.

A key falls into the training share (part 0) or one of the reserve folds (1 to N), by a salted hash and nothing else: in which
delivery it comes, and what its other columns say, does not matter. The n-th delivery is tested on fold n. Deliveries after those
are tested on folds that new keys open (new_folds.py).
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import polars as pl

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.handles import Handle
from ml_assets.spec.partitions import delivery_number
from ml_assets.spec.product import Product

TRAINING = 0
"""The part that is trained on from the first delivery on."""
FOLDS = "folds.parquet"
"""The member of a features snapshot that has the part of each key, where the hash alone does not say it."""
PART = "_part_of_split"
"""The column of a row's part."""
_BITS = 64


def part_of(values: Sequence[Any], *, salt: str, train: float, folds: int) -> int:
    """The part of a key: 0 is trained on from the start, 1 to `folds` are tested first."""
    text = json.dumps([salt, *map(_text, values)], ensure_ascii=False)
    place = int.from_bytes(hashlib.sha256(text.encode()).digest()[: _BITS // 8], "big") / 2**_BITS
    if place < train:
        return TRAINING
    return 1 + min(int((place - train) / (1 - train) * folds), folds - 1)


def delivery(partition: str) -> int:
    """The number of a delivery, which its key is. The calendar of other products decides nothing here."""
    return int(partition)


def division(product: Product) -> list[str]:
    """The columns that the rows are divided by: the group of the key where one is declared, else all of it."""
    return [product.split.group] if product.split.group else list(product.features.key)


def rows_of(features: Handle, product: Product) -> pl.DataFrame:
    """The rows of a features snapshot, with their parts where its deliveries have new folds."""
    rows = features.frame("features.parquet")
    if FOLDS not in features.members:
        return rows
    return rows.join(features.frame(FOLDS), on=division(product), how="left", nulls_equal=True, maintain_order="left")


def parts(frame: pl.DataFrame, product: Product) -> pl.Series:
    """The part of each row (rows,); null for new keys that wait until there are enough of them for a fold."""
    return frame[PART] if PART in frame.columns else hashed(frame, product)


def hashed(frame: pl.DataFrame, product: Product) -> pl.Series:
    """The part of each row (rows,), by the hash of its key alone."""
    spec, columns = product.split, division(product)
    keys = frame.select(columns).unique(maintain_order=True)
    part = partial(part_of, salt=spec.salt or product.name, train=spec.train, folds=spec.folds)
    known = keys.with_columns(pl.Series("part", [part(key) for key in keys.iter_rows()], dtype=pl.Int64))
    return frame.select(columns).join(known, on=columns, how="left", nulls_equal=True, maintain_order="left")["part"]


def trained_on(frame: pl.DataFrame, product: Product, *, partition: str) -> pl.DataFrame:
    """The rows that the candidate as of the partition trains on, of the features that it reads: all of them, but of a static
    table without the folds that no earlier delivery was tested on."""
    if not product.partitions.is_static:
        return frame
    return frame.filter(parts(frame, product) < delivery_number(partition))


def tested_on(frame: pl.DataFrame, product: Product, *, partition: str) -> pl.DataFrame:
    """The rows that the candidate as of the partition is tested on, of the features of its test window: all of them, but of a
    static table the fold of this delivery alone."""
    if not product.partitions.is_static:
        return frame
    return frame.filter(parts(frame, product) == delivery_number(partition)).drop(PART, strict=False)


def unseen_labels(frame: pl.DataFrame, product: Product, *, partition: str, release: str) -> pl.DataFrame:
    """The features of a partition with the labels of those rows alone that the release as of another one was not trained on. Of a
    static table these are the folds from the release's own to the partition's: later ones are still to be tested on."""
    if not product.partitions.is_static:
        return frame
    label = product.features.label
    is_unseen = parts(frame, product).is_between(delivery_number(release), delivery_number(partition))
    return frame.with_columns(pl.when(is_unseen).then(pl.col(label)).alias(label)).drop(PART, strict=False)


def split_digest(product: Product) -> str:
    """The digest of what decides the part of each key; two models with another digest were not trained on rows of the same
    division."""
    spec, columns = product.split, division(product)
    return digest_json([columns, spec.salt or product.name, spec.train, spec.folds])


def trained_parts(trained: pl.DataFrame, product: Product) -> dict[str, Any]:
    """The fact of a model of a static table: the parts of the rows that it was trained on, as they are and not as they should be,
    and the division that they are of."""
    if not product.partitions.is_static:
        return {}
    return {"split": {"parts": parts(trained, product).unique().sort().to_list(), "digest": split_digest(product)}}


def names(parts_trained: Iterable[int]) -> tuple[str, ...]:
    """Parts in words."""
    return tuple("the training share" if part == TRAINING else f"fold {part}" for part in parts_trained)


def _text(value: Any) -> str | None:
    """A value of a key as text. A whole number is the same text whatever its type: a row keeps its part where that changes."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else str(value)
