"""One prediction as it is kept, in the log and by the batch predictions alike, and its Parquet form.

The request is one column of JSON, not a column for each field: contracts change from release to release, and so every file
of every release has the same columns. JSON keeps numbers to the last bit and is read again by the release's own decoder.
"""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 32_768
"""Rows that are found or left out together when one id is looked for."""
REPEATED = ("product", "environment", "release", "bundle")
"""Columns with few values: most often one in a whole batch, which costs nothing then."""
_VARYING = ("id", "at", "score", "decision")


class Record(msgspec.Struct, frozen=True, gc=False):
    """One prediction. `bundle` is the digest of the release's bundle, `at` when the request was read, in UTC."""

    id: str
    at: dt.datetime
    product: str
    environment: str
    release: str
    bundle: str
    request: msgspec.Struct | dict[str, Any]
    score: float
    decision: bool | None


def schema() -> "pa.Schema":
    """The columns."""
    import pyarrow as pa

    texts = {name: pa.string() for name in Record.__struct_fields__}
    others = {"at": pa.timestamp("us"), "score": pa.float64(), "decision": pa.bool_()}
    return pa.schema([pa.field(name, kind, nullable=name == "decision") for name, kind in (texts | others).items()])


def table(records: Sequence[Record]) -> "pa.Table":
    """The records as columns, in their order."""
    import pyarrow as pa

    encode, kinds = msgspec.json.Encoder().encode, schema()
    columns: dict[str, Any] = {name: [getattr(record, name) for record in records] for name in _VARYING}
    columns["request"] = [encode(record.request) for record in records]
    repeated = {(record.product, record.environment, record.release, record.bundle) for record in records}
    if len(repeated) == 1:
        values = zip(REPEATED, repeated.pop(), strict=True)
        columns |= {name: pa.repeat(pa.scalar(value, kinds.field(name).type), len(records)) for name, value in values}
    else:
        columns |= {name: [getattr(record, name) for record in records] for name in REPEATED}
    return pa.Table.from_pydict({name: columns[name] for name in kinds.names}, schema=kinds)


def parquet(tables: "Sequence[pa.Table]") -> bytes:
    """The bytes of one file that holds the tables' rows in their order; the same rows give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema(), compression="zstd", use_dictionary=list(REPEATED)) as writer:
        writer.write_table(pa.concat_tables(tables), row_group_size=GROUP_ROWS)
    content: bytes = sink.getvalue().to_pybytes()
    return content
