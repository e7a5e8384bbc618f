"""Predictions as they are kept, in the log and by the batch predictions alike, and their Parquet form.

The request is one column of JSON, not a column for each field: contracts change from release to release, and so every file
of every release has the same columns. JSON keeps numbers to the last bit and is read again by the release's own decoder.
"""

import datetime as dt
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 32_768
"""Rows that are found or left out together when one id is looked for."""
REPEATED = ("product", "environment", "release", "bundle")
"""Columns with few values: most often one in a whole batch, which costs nothing then."""
_VARYING = {"id": "ids", "at": "at", "request": "requests", "score": "scores", "decision": "decisions"}
"""The other columns, and the lists of Predictions that they are made of."""


class Predictions(msgspec.Struct, frozen=True, gc=False):
    """What one release gave for rows asked together: what all of them share, and lists with a value for each row, in order.

    `bundle` is the digest of the release's bundle, `at` when the request was read, in UTC. Raises ValueError for lists that
    differ in length.
    """

    product: str
    environment: str
    release: str
    bundle: str
    ids: list[str]
    at: list[dt.datetime]
    requests: Sequence[msgspec.Struct | dict[str, Any]]
    scores: list[float]
    decisions: list[bool | None]

    def __post_init__(self) -> None:
        rows = len(self.ids)
        if not rows == len(self.at) == len(self.requests) == len(self.scores) == len(self.decisions):
            raise ValueError("predictions need an id, a moment, a request, a score and a decision for each row")

    def __len__(self) -> int:
        return len(self.ids)

    def parts(self, most: int) -> "list[Predictions]":
        """The same in pieces of at most so many rows."""
        rows = len(self.ids)
        return [self] if rows <= most else [self._rows(slice(at, at + most)) for at in range(0, rows, most)]

    def _rows(self, which: slice) -> "Predictions":
        return msgspec.structs.replace(self, **{name: getattr(self, name)[which] for name in _VARYING.values()})


def schema() -> "pa.Schema":
    """The columns."""
    import pyarrow as pa

    text = pa.string()
    kinds = {"id": text, "at": pa.timestamp("us"), **dict.fromkeys(REPEATED, text), "request": text}
    kinds |= {"score": pa.float64(), "decision": pa.bool_()}
    return pa.schema([pa.field(name, kind, nullable=name == "decision") for name, kind in kinds.items()])


def table(batches: Sequence[Predictions]) -> "pa.Table":
    """The predictions as columns, in their order."""
    import pyarrow as pa

    kinds = schema()
    columns: dict[str, Any] = {
        column: list(chain.from_iterable(map(attrgetter(name), batches))) for column, name in _VARYING.items()
    }
    lines = msgspec.json.Encoder().encode_lines(columns["request"])
    columns["request"] = lines.split(b"\n")[:-1]  # each line ends in one, and JSON has none within
    repeated = set(map(attrgetter(*REPEATED), batches))
    if len(repeated) == 1:
        values = zip(REPEATED, repeated.pop(), strict=True)
        columns |= {name: pa.repeat(pa.scalar(value, kinds.field(name).type), len(columns["id"])) for name, value in values}
    else:
        columns |= {name: [getattr(each, name) for each in batches for _ in each.ids] for name in REPEATED}
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
