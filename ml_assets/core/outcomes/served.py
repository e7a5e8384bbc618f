"""Which served predictions are about a partition's questions, by key; the request of a record is its JSON."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from ml_assets.core.digests import digest_json
from ml_assets.core.metrics.score_columns import names

COLUMNS = ("id", "at", "release", "bundle", "score")
ROW = "row"
"""The column that says which row of the outcomes a prediction is about."""


def about(predictions: pl.DataFrame, questions: pl.DataFrame, *, key: Sequence[str]) -> pl.DataFrame:
    """The predictions about these questions, with the number of the question's row; those about others are left out.

    `predictions`: records of the log or of batches; `questions`: the keys of a partition, in its order.
    """
    places = {values: row for row, values in enumerate(_texts(questions.select(key).iter_rows()))}
    requests = (json.loads(text) for text in predictions["request"])
    rows = [places.get(_text([request.get(name) for name in key])) for request in requests]
    of_classes = [name for name in predictions.columns if name.startswith(names("score", [""])[0])]
    placed = predictions.select(*COLUMNS, *of_classes).with_columns(pl.Series(ROW, rows, dtype=pl.Int64))
    return placed.filter(pl.col(ROW).is_not_null() & pl.col("score").is_not_nan())


def is_within(request: str, time: str, start: datetime, end: datetime) -> bool:
    """Whether a request (JSON) is about a moment from `start` up to `end` (naive UTC), by its field `time`, as it was sent."""
    try:
        moment = datetime.fromisoformat(str(json.loads(request).get(time)))
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return False
    return start <= moment < end


def digest(predictions: pl.DataFrame) -> str:
    """The digest of all that decides what follows from the predictions: which was asked what, and answered how."""
    of_classes = [name for name in predictions.columns if name not in (*COLUMNS, ROW)]
    return digest_json(predictions.sort("id").select("id", "bundle", "score", ROW, *of_classes).rows())


def _texts(rows: Any) -> Sequence[str]:
    return [_text(values) for values in rows]


def _text(values: Sequence[Any]) -> str:
    """A key as text, the same for a value of a column and for the value in a request."""
    return json.dumps([_plain(value) for value in values])


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def last_answers(predictions: Mapping[str, pl.DataFrame], bundle: str) -> pl.DataFrame:
    """The last prediction of a release about each row, in the rows' order, whichever way it was served. A way of serving has the
    score columns of the classes that its own releases know."""
    served = [frame.filter(pl.col("bundle") == bundle) for frame in predictions.values()]
    return pl.concat(served, how="diagonal").unique(ROW, keep="last").sort(ROW)


def by_release(predictions: Mapping[str, pl.DataFrame]) -> list[tuple[str, str, pl.DataFrame]]:
    """(bundle, source, predictions) for each release and source that served, in order of time and name."""
    parts = []
    for source, frame in predictions.items():
        for (bundle,), rows in frame.group_by("bundle", maintain_order=True):
            parts.append((str(bundle), source, rows))
    return sorted(parts, key=lambda part: (str(part[2]["release"][0]), part[1]))
