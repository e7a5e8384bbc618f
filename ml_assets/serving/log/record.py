"""Predictions as they are kept, in the log and by the batch predictions alike, and their Parquet form.

The request is one column of JSON, not a column for each field: contracts change from release to release, and so every file
of every release has the same columns. JSON keeps numbers to the last bit and is read again by the release's own decoder. It is
the row's text as it was sent, where the endpoint knows all of it.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from ml_assets.serving.log.prediction_id import ID_LENGTH

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

GROUP_ROWS = 32_768
"""Rows that are found or left out together when one id is looked for."""
_WRAPPED = b'{"rows":'
REPEATED = ("product", "environment", "release", "bundle")
"""Columns with few values: most often one in a whole batch, which costs nothing then."""


class Sent(msgspec.Struct, frozen=True, gc=False):
    """Rows as they were sent: a body that was decoded, and its number of rows."""

    body: bytes
    rows: int

    def __len__(self) -> int:
        return self.rows


class Predictions(msgspec.Struct, frozen=True, gc=False):
    """What one release gave for rows asked together: what all of them share, and a value for each row, in order.

    `bundle` is the digest of the release's bundle, `at` when the request was read, in UTC: one moment for all rows, or one for
    each. `ids` are one text, an id after the other. The decision is whether a score reaches the `threshold`; there is none where
    either is missing. Raises ValueError for values that differ in number.
    """

    product: str
    environment: str
    release: str
    bundle: str
    ids: str
    at: list[dt.datetime]
    requests: Sequence[msgspec.Struct | dict[str, Any]] | Sent
    scores: "NDArray[np.float64]"
    threshold: float | None

    def __post_init__(self) -> None:
        rows = len(self.scores)
        if len(self.at) not in (1, rows) or rows != len(self.requests) or len(self.ids) != rows * ID_LENGTH:
            raise ValueError("predictions need an id, a moment, a request and a score for each row")

    def __len__(self) -> int:
        return len(self.scores)

    def parts(self, most: int) -> "list[Predictions]":
        """The same in pieces of at most so many rows."""
        rows = len(self)
        return [self] if rows <= most else [self._rows(at, at + most) for at in range(0, rows, most)]

    def _rows(self, first: int, end: int) -> "Predictions":
        return msgspec.structs.replace(
            self,
            ids=self.ids[first * ID_LENGTH : end * ID_LENGTH],
            at=self.at if len(self.at) == 1 else self.at[first:end],
            requests=self.requests[first:end],  # type: ignore[index]
            scores=self.scores[first:end],
        )


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
    columns = {"id": _ids(batches), "at": _moments(batches), "request": _requests(batches)}
    scores = np.concatenate([each.scores for each in batches])
    columns |= {"score": pa.array(scores), "decision": _decisions(batches, scores)}
    repeated = set(map(attrgetter(*REPEATED), batches))
    if len(repeated) == 1:
        columns |= {name: pa.repeat(value, len(columns["id"])) for name, value in zip(REPEATED, repeated.pop(), strict=True)}
    else:
        columns |= {name: pa.array([getattr(each, name) for each in batches for _ in range(len(each))]) for name in REPEATED}
    return pa.Table.from_arrays([columns[name] for name in kinds.names], schema=kinds)


def _ids(batches: Sequence[Predictions]) -> "pa.Array":
    import pyarrow as pa

    content = "".join(each.ids for each in batches).encode()
    count = len(content) // ID_LENGTH
    return pa.StringArray.from_buffers(
        count, pa.py_buffer(np.arange(count + 1, dtype=np.int32) * ID_LENGTH), pa.py_buffer(content)
    )


def _decisions(batches: Sequence[Predictions], scores: "NDArray[np.float64]") -> "pa.Array":
    """Whether each score reaches its threshold; null without one, and for what could not be scored."""
    import pyarrow as pa

    each_of = np.array([each.threshold for each in batches], dtype=np.float64)  # NaN for None
    thresholds = np.repeat(each_of, [len(each) for each in batches])
    return pa.array(scores >= thresholds, mask=np.isnan(scores) | np.isnan(thresholds))


def _requests(batches: Sequence[Predictions]) -> "pa.Array":
    """The JSON text of each row."""
    import pyarrow as pa

    runs = groupby(batches, key=lambda each: isinstance(each.requests, Sent))
    texts = [_cut([each.requests for each in run]) if is_sent else _written(run) for is_sent, run in runs]  # type: ignore[misc]
    return pa.concat_arrays(texts)


def _cut(bodies: Sequence[Sent]) -> "pa.Array":
    """Each row's own text, from its opening brace to its closing one. But for the joining this needs no interpreter."""
    import pyarrow as pa

    content = b"".join([each.body for each in bodies])
    values = np.frombuffer(content, np.uint8)
    opened, closed = np.flatnonzero(values == ord("{")), np.flatnonzero(values == ord("}"))
    is_wrapped = np.array([each.body.startswith(_WRAPPED) for each in bodies])
    objects = np.array([each.rows for each in bodies]) + is_wrapped
    ends = np.cumsum([len(each.body) for each in bodies])
    is_plain = (_by_body(opened, ends) == objects) & (_by_body(closed, ends) == objects)
    if not is_plain.all():
        runs = groupby(zip(bodies, is_plain.tolist(), strict=True), key=lambda each: each[1])
        return pa.concat_arrays([(_cut if plain else _parsed)([each for each, _ in run]) for plain, run in runs])
    after = np.cumsum(objects)
    opened = np.delete(opened, (after - objects)[is_wrapped])
    closed = np.delete(closed, (after - 1)[is_wrapped])
    # a row, what is between it and the next, that one, ...
    offsets = np.stack([opened, closed + 1], axis=1).astype(np.int32).ravel()
    pieces = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(content))
    return pieces.take(pa.array(np.arange(0, len(pieces), 2)))


def _by_body(positions: "NDArray[np.intp]", ends: "NDArray[np.intp]") -> "NDArray[np.intp]":
    """How many of the positions each body has."""
    return np.diff(np.searchsorted(positions, ends), prepend=0)


def _parsed(bodies: Sequence[Sent]) -> "pa.Array":
    """The same where text has braces, or a body begins otherwise."""
    import pyarrow as pa

    texts: list[bytes | msgspec.Raw] = []
    for each in bodies:
        fields = msgspec.json.decode(each.body, type=dict[str, msgspec.Raw])
        texts += msgspec.json.decode(fields["rows"], type=list[msgspec.Raw]) if "rows" in fields else [each.body.strip()]
    return pa.array(map(bytes, texts), type=pa.string())


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


def parquet(predictions: "pa.Table") -> bytes:
    """The bytes of one file that holds the table's rows in their order; the same table gives the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    looked_for = [name for name in schema().names if name != "request"]
    pq.write_table(
        predictions,
        sink,
        row_group_size=GROUP_ROWS,
        compression="zstd",
        use_dictionary=list(REPEATED),
        write_statistics=looked_for,
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content
