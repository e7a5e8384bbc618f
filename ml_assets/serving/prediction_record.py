"""Predictions as they are kept, in the log and by the batch predictions alike, and their Parquet form.

The request is one column of JSON, not a column for each field: contracts change from release to release, and so every file
of every release has the same columns. JSON keeps numbers to the last bit and is read again by the release's own decoder. It is
the row's text as it was sent, where that can be cut out of the body.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from ml_assets.serving.byte_counts import count

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 32_768
"""Rows that are found or left out together when one id is looked for."""
REPEATED = ("product", "environment", "release", "bundle")
"""Columns with few values: most often one in a whole batch, which costs nothing then."""


class Sent(msgspec.Struct, frozen=True, gc=False):
    """Rows as they were sent: a body in which nothing else has braces, but itself where it `is_wrapped`."""

    body: bytes
    is_wrapped: bool
    rows: int

    def __len__(self) -> int:
        return self.rows


def as_sent(body: bytes, rows: int) -> Sent | None:
    """The rows of a body that was decoded, to be cut out of it later; None where that is not sure, as some text has braces."""
    is_wrapped = body.startswith(b'{"rows":')
    objects = rows + is_wrapped
    return Sent(body, is_wrapped, rows) if count(body, b"{") == objects == count(body, b"}") else None


class Predictions(msgspec.Struct, frozen=True, gc=False):
    """What one release gave for rows asked together: what all of them share, and lists with a value for each row, in order.

    `bundle` is the digest of the release's bundle, `at` when the request was read, in UTC: one moment for all rows, or one for
    each. Raises ValueError for lists that differ in length.
    """

    product: str
    environment: str
    release: str
    bundle: str
    ids: list[str]
    at: list[dt.datetime]
    requests: Sequence[msgspec.Struct | dict[str, Any]] | Sent
    scores: list[float]
    decisions: list[bool | None]

    def __post_init__(self) -> None:
        rows = len(self.ids)
        if len(self.at) not in (1, rows) or not rows == len(self.requests) == len(self.scores) == len(self.decisions):
            raise ValueError("predictions need an id, a moment, a request, a score and a decision for each row")

    def __len__(self) -> int:
        return len(self.ids)

    def parts(self, most: int) -> "list[Predictions]":
        """The same in pieces of at most so many rows."""
        rows = len(self.ids)
        return [self] if rows <= most else [self._rows(slice(at, at + most)) for at in range(0, rows, most)]

    def _rows(self, which: slice) -> "Predictions":
        at = self.at if len(self.at) == 1 else self.at[which]
        lists = {name: getattr(self, name)[which] for name in ("ids", "requests", "scores", "decisions")}
        return msgspec.structs.replace(self, at=at, **lists)


@cache
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
    columns = {"request": _requests(batches), "at": _moments(batches)}
    for column, name in (("id", "ids"), ("score", "scores"), ("decision", "decisions")):
        values = list(chain.from_iterable(map(attrgetter(name), batches)))
        columns[column] = pa.array(values, type=kinds.field(column).type)
    repeated = set(map(attrgetter(*REPEATED), batches))
    if len(repeated) == 1:
        columns |= {name: pa.repeat(value, len(columns["id"])) for name, value in zip(REPEATED, repeated.pop(), strict=True)}
    else:
        columns |= {name: pa.array([getattr(each, name) for each in batches for _ in each.ids]) for name in REPEATED}
    return pa.Table.from_arrays([columns[name] for name in kinds.names], schema=kinds)


def _requests(batches: Sequence[Predictions]) -> "pa.Array":
    """The JSON text of each row."""
    import pyarrow as pa

    runs = groupby(batches, key=lambda each: isinstance(each.requests, Sent))
    texts = [_cut([each.requests for each in run]) if is_sent else _written(run) for is_sent, run in runs]  # type: ignore[misc]
    return pa.concat_arrays(texts)


def _cut(bodies: Sequence[Sent]) -> "pa.Array":
    """Each row's own text, from its opening brace to its closing one. But for the joining this needs no interpreter."""
    import pyarrow as pa

    content = b"".join(each.body for each in bodies)
    values = np.frombuffer(content, np.uint8)
    opened, closed = np.flatnonzero(values == ord("{")), np.flatnonzero(values == ord("}"))
    is_wrapped = np.array([each.is_wrapped for each in bodies])
    objects = np.array([each.rows for each in bodies]) + is_wrapped
    after = np.cumsum(objects)
    opened = np.delete(opened, (after - objects)[is_wrapped])
    closed = np.delete(closed, (after - 1)[is_wrapped])
    # a row, what is between it and the next, that one, ...
    offsets = np.stack([opened, closed + 1], axis=1).astype(np.int32).ravel()
    pieces = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(content))
    return pieces.take(pa.array(np.arange(0, len(pieces), 2)))


def _written(batches: Iterable[Predictions]) -> "pa.Array":
    """Each row as JSON: the lines of one text, without their ends; it has no newline within."""
    import pyarrow as pa

    rows = [row for each in batches for row in each.requests]  # type: ignore[union-attr]
    lines = msgspec.json.Encoder().encode_lines(rows)
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) - np.arange(len(rows))
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(lines.replace(b"\n", b"")))


def _moments(batches: Sequence[Predictions]) -> "pa.Array":
    import pyarrow as pa

    counts = [number for each in batches for number in ([len(each)] if len(each.at) == 1 else [1] * len(each))]
    moments = pa.array(chain.from_iterable(each.at for each in batches), type=pa.timestamp("us"))
    return moments.take(pa.array(np.repeat(np.arange(len(counts)), counts)))


def parquet(tables: "Sequence[pa.Table]") -> bytes:
    """The bytes of one file that holds the tables' rows in their order; the same rows give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema(), compression="zstd", use_dictionary=list(REPEATED)) as writer:
        writer.write_table(pa.concat_tables(tables), row_group_size=GROUP_ROWS)
    content: bytes = sink.getvalue().to_pybytes()
    return content
