"""Predictions for tests of the log."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ml_assets.serving.prediction_files import hour_folder, put
from ml_assets.serving.prediction_id import prediction_id
from ml_assets.serving.prediction_record import Record, parquet, table

NOON = dt.datetime(2026, 1, 31, 12)


class Asked(msgspec.Struct, frozen=True):
    carrier: str
    distance: int | None


def id_at(moment: dt.datetime) -> str:
    """A new id, as of another moment."""
    milliseconds = (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(milliseconds=1)
    return f"{milliseconds:012x}"[:8] + "-" + f"{milliseconds:012x}"[8:] + prediction_id()[13:]


def record(
    number: int,
    *,
    moment: dt.datetime = NOON,
    release: str = "r1",
    environment: str = "production",
    request: msgspec.Struct | None = None,
    product: str = "flights",
) -> Record:
    """The prediction that was given so many milliseconds after `moment`."""
    at = moment + dt.timedelta(milliseconds=number)
    asked = request or Asked("AA", number or None)
    return Record(id_at(at), at, product, environment, release, "ab" * 32, asked, number / 3, number % 2 == 0)


def log(folder: Path, records: Sequence[Record], *, writer: str = "w", number: int = 0) -> Path:
    """Put records of one hour into the log as one flush."""
    hour = hour_folder(folder, records[0].id)
    return put(hour, parquet([table(records)]), writer=writer, first=number, last=number)
