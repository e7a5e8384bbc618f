"""The answer of a source, as the bytes of one delivery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from ml_assets.core.contract.reading import read_delivery
from ml_assets.core.digests import sha256
from ml_assets.core.frames import parquet_bytes
from ml_assets.errors import MlAssetsError
from ml_assets.services.new_product.stored_history import delivered_bytes
from ml_assets.spec.delivery import ReferenceSpec


class ExtractionRefused(MlAssetsError):
    """A source has nothing that can be delivered, or is not to be asked."""


@dataclass(frozen=True)
class DeliveryContent:
    """`files`: the digest of each file that the delivery was put together from, by its name; none of a query."""

    content: bytes
    rows: int
    files: Mapping[str, str] = field(default_factory=dict)


def of_rows(frame: pl.DataFrame, *, key: Sequence[str], time: str, name: str, may_be_none: bool = False) -> DeliveryContent:
    """Rows of a query as Parquet, in the order of the key, then of all other columns: a database gives them in any order, and the
    same rows are to be the same delivery. Raises ExtractionRefused where there are none, unless that says something
    (`may_be_none`), or the column of time is missing."""
    if not frame.height and not may_be_none:
        raise ExtractionRefused(f"{name}: the query gives no rows; if they come later, declare a longer `settle` of this source")
    if time and time not in frame.columns:
        raise ExtractionRefused(
            f"{name}: the query gives no column '{time}', which is the `time` of the table; it gives "
            f"{', '.join(frame.columns)}; select it, or correct `time` of the table"
        )
    first = [column for column in key if column in frame.columns]
    frame = frame.sort([*first, *(column for column in frame.columns if column not in first)], nulls_last=True)
    return DeliveryContent(parquet_bytes(frame), frame.height)


def of_files(contents: Mapping[str, bytes], spec: ReferenceSpec, *, may_be_none: bool = False) -> DeliveryContent:
    """One file as it is; of several their rows, in the order of their names, written like the first. Raises DeliveryError, also
    for a file without rows unless that says something (`may_be_none`), and ExtractionRefused where their columns differ."""
    read = partial(read_delivery, table=spec, may_be_empty=may_be_none)
    frames = {name: read(content, name=name) for name, content in contents.items()}
    digests = {name: sha256(content) for name, content in contents.items()}
    (first, frame), *others = frames.items()
    for name, other in others:
        if odd := {*frame.schema.items()} ^ {*other.schema.items()}:
            named = ", ".join(sorted(f"{column} ({dtype})" for column, dtype in odd))
            raise ExtractionRefused(f"{name} has other columns than {first}: {named}; all files are one table")
    if not others:
        return DeliveryContent(contents[first], frame.height, digests)
    whole = pl.concat(rows.select(frame.columns) for rows in frames.values())
    return DeliveryContent(delivered_bytes(whole, spec), whole.height, digests)
