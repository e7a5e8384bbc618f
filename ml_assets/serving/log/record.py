"""The record of predictions, in the log and in batch predictions, and its Parquet form.

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

from ml_assets.core.metrics.score_columns import likeliest, names
from ml_assets.serving.log.prediction_id import ID_LENGTH

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

GROUP_ROWS = 32_768
"""Rows that a search for one id reads or skips together."""
_WRAPPED = b'{"rows":'
SCORE, CLASS = "score", "class"
REPEATED = ("product", "environment", "release", "bundle")
"""Columns with few values, mostly one in a whole batch, which then costs nothing."""


class Sent(msgspec.Struct, frozen=True, gc=False):
    """Rows as the client sent them: a body, and its number of rows."""

    body: bytes
    rows: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows


class Predictions(msgspec.Struct, frozen=True, gc=False):
    """The predictions of one release for the rows of a request: what they share, and a value for each row, in order.

    `bundle` is the digest of the release's bundle, `at` when the request was read, in UTC: one moment for all rows, or one for
    each, which is None in batches of a product whose questions have no time.
    `ids` are one text, an id after the other. The decision is whether a score reaches the `threshold`; there is none where
    either is missing. Scores are (rows,) or, of a release with `classes`, (rows, classes). Raises ValueError for values that
    differ in number.
    """

    product: str
    environment: str
    release: str
    bundle: str
    ids: str
    at: list[dt.datetime] | list[dt.datetime | None]
    requests: Sequence[msgspec.Struct | dict[str, Any]] | Sent
    scores: "NDArray[np.float64]"
    threshold: float | None
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError unless ids, moments, requests and scores have one value for each row."""
        rows = len(self.scores)
        if len(self.at) not in (1, rows) or rows != len(self.requests) or len(self.ids) != rows * ID_LENGTH:
            raise ValueError("predictions need an id, a moment, a request and a score for each row")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.scores)

    def parts(self, most: int) -> "list[Predictions]":
        """Return the same in pieces of at most `most` rows."""
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
def schema(*, is_timed: bool = True, classes: tuple[str, ...] = ()) -> "pa.Schema":
    """Return the columns of the record; `is_timed`: whether each row has a moment. With `classes`, the most probable one, whose
    probability is the score, and a column for the probability of each: null in rows of a release that doesn't know it."""
    import pyarrow as pa

    text = pa.string()
    kinds = {"id": text, "at": pa.timestamp("us"), **dict.fromkeys(REPEATED, text), "request": text}
    of_classes = {CLASS: text, **dict.fromkeys(names(SCORE, classes), pa.float64())} if classes else {}
    kinds |= {SCORE: pa.float64(), "decision": pa.bool_(), **of_classes}
    may_be_null = {"decision", *of_classes, *(() if is_timed else ("at",))}
    return pa.schema([pa.field(name, kind, nullable=name in may_be_null) for name, kind in kinds.items()])


def table(batches: Sequence[Predictions]) -> "pa.Table":
    """Return the predictions as columns, in order. Raises ValueError for what Arrow can't hold."""
    import pyarrow as pa

    classes = tuple(dict.fromkeys(name for batch in batches for name in batch.classes))
    kinds = schema(is_timed=all(None not in batch.at for batch in batches), classes=classes)
    columns = {"id": _ids(batches), "at": _moments(batches), "request": _requests(batches)}
    scores = np.concatenate([batch.scores.max(axis=1) if batch.classes else batch.scores for batch in batches])
    columns |= {SCORE: pa.array(scores), "decision": _decisions(batches, scores)}
    columns |= _of_classes(batches, classes) if classes else {}
    repeated = set(map(attrgetter(*REPEATED), batches))
    if len(repeated) == 1:
        columns |= {name: pa.repeat(value, len(columns["id"])) for name, value in zip(REPEATED, repeated.pop(), strict=True)}
    else:
        columns |= {name: pa.array([getattr(batch, name) for batch in batches for _ in range(len(batch))]) for name in REPEATED}
    return pa.Table.from_arrays([columns[name] for name in kinds.names], schema=kinds)


def _of_classes(batches: Sequence[Predictions], classes: tuple[str, ...]) -> "dict[str, pa.Array]":
    """The most probable class of each row, and the probability of each class; null where a release doesn't know it."""
    import pyarrow as pa

    chosen: list[str | None] = []
    scores = np.full((sum(map(len, batches)), len(classes)), np.nan)
    is_known = np.zeros(scores.shape, dtype=bool)
    first = 0
    for batch in batches:
        rows = slice(first, first + len(batch))
        first += len(batch)
        if not batch.classes:
            chosen += [None] * len(batch)
            continue
        own = [classes.index(name) for name in batch.classes]
        scores[rows, own], is_known[rows, own] = batch.scores, True
        has_failed = np.isnan(batch.scores.sum(axis=1)).tolist()
        chosen += [
            None if failed else batch.classes[k] for failed, k in zip(has_failed, likeliest(batch.scores).tolist(), strict=True)
        ]
    by_class = {name: pa.array(scores[:, k], mask=~is_known[:, k]) for k, name in enumerate(names(SCORE, classes))}
    return {CLASS: pa.array(chosen, type=pa.string()), **by_class}


def _ids(batches: Sequence[Predictions]) -> "pa.Array":
    import pyarrow as pa

    content = "".join(batch.ids for batch in batches).encode()
    count = len(content) // ID_LENGTH
    return pa.StringArray.from_buffers(
        count, pa.py_buffer(np.arange(count + 1, dtype=np.int32) * ID_LENGTH), pa.py_buffer(content)
    )


def _decisions(batches: Sequence[Predictions], scores: "NDArray[np.float64]") -> "pa.Array":
    """Whether each score reaches its threshold; null without one, and for rows that couldn't be scored."""
    import pyarrow as pa

    by_batch = np.array([batch.threshold for batch in batches], dtype=np.float64)  # NaN for None
    thresholds = np.repeat(by_batch, [len(batch) for batch in batches])
    return pa.array(scores >= thresholds, mask=np.isnan(scores) | np.isnan(thresholds))


def _requests(batches: Sequence[Predictions]) -> "pa.Array":
    """The JSON text of each row."""
    import pyarrow as pa

    runs = groupby(batches, key=lambda batch: isinstance(batch.requests, Sent))
    texts = [_cut([batch.requests for batch in run]) if is_sent else _written(run) for is_sent, run in runs]  # type: ignore[misc]
    return pa.concat_arrays(texts)


def _cut(bodies: Sequence[Sent]) -> "pa.Array":
    """Each row's own text, from its opening brace to its closing one. Apart from the join this runs without the interpreter."""
    import pyarrow as pa

    content = b"".join([sent.body for sent in bodies])
    values = np.frombuffer(content, np.uint8)
    opened, closed = np.flatnonzero(values == ord("{")), np.flatnonzero(values == ord("}"))
    is_wrapped = np.array([sent.body.startswith(_WRAPPED) for sent in bodies])
    objects = np.array([sent.rows for sent in bodies]) + is_wrapped
    ends = np.cumsum([len(sent.body) for sent in bodies])
    is_plain = (_by_body(opened, ends) == objects) & (_by_body(closed, ends) == objects)
    if not is_plain.all():
        runs = groupby(zip(bodies, is_plain.tolist(), strict=True), key=lambda pair: pair[1])
        return pa.concat_arrays([(_cut if plain else _parsed)([sent for sent, _ in run]) for plain, run in runs])
    after = np.cumsum(objects)
    opened = np.delete(opened, (after - objects)[is_wrapped])
    closed = np.delete(closed, (after - 1)[is_wrapped])
    # a row, what is between it and the next, that one, ...
    offsets = np.stack([opened, closed + 1], axis=1).astype(np.int32).ravel()
    pieces = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(content))
    return pieces.take(pa.array(np.arange(0, len(pieces), 2)))


def _by_body(positions: "NDArray[np.intp]", ends: "NDArray[np.intp]") -> "NDArray[np.intp]":
    """The number of the positions in each body: (bodies,)."""
    return np.diff(np.searchsorted(positions, ends), prepend=0)


def _parsed(bodies: Sequence[Sent]) -> "pa.Array":
    """The same for bodies that have braces in text, or begin otherwise."""
    import pyarrow as pa

    texts: list[bytes | msgspec.Raw] = []
    for sent in bodies:
        fields = msgspec.json.decode(sent.body, type=dict[str, msgspec.Raw])
        texts += msgspec.json.decode(fields["rows"], type=list[msgspec.Raw]) if "rows" in fields else [sent.body.strip()]
    return pa.array(map(bytes, texts), type=pa.string())


def _written(batches: Iterable[Predictions]) -> "pa.Array":
    """Each row as JSON: the lines of one text, without their newlines, of which JSON has no others."""
    import pyarrow as pa

    rows = [row for batch in batches for row in batch.requests]  # type: ignore[union-attr]
    lines = msgspec.json.Encoder().encode_lines(rows)
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) - np.arange(len(rows))
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return pa.StringArray.from_buffers(len(rows), pa.py_buffer(offsets), pa.py_buffer(lines.replace(b"\n", b"")))


def _moments(batches: Sequence[Predictions]) -> "pa.Array":
    import pyarrow as pa

    counts = [count for batch in batches for count in ([len(batch)] if len(batch.at) == 1 else [1] * len(batch))]
    moments = pa.array(chain.from_iterable(batch.at for batch in batches), type=pa.timestamp("us"))
    return moments.take(pa.array(np.repeat(np.arange(len(counts)), counts)))


def parquet(predictions: "pa.Table") -> bytes:
    """Return a file with the table's rows in order; the same table gives the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    searched = [name for name in predictions.schema.names if name != "request"]
    pq.write_table(
        predictions,
        sink,
        row_group_size=GROUP_ROWS,
        compression="zstd",
        use_dictionary=list(REPEATED),
        write_statistics=searched,
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content
