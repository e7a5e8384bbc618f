"""Predictions for tests of the log."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ml_assets.serving.log.hour_files import hour_folder, put
from ml_assets.serving.log.prediction_id import prediction_id
from ml_assets.serving.log.record import Predictions, parquet, table

THRESHOLD = 1.0
NOON = dt.datetime(2026, 1, 31, 12)


class Asked(msgspec.Struct, frozen=True):
    carrier: str
    distance: int | None


def id_at(moment: dt.datetime) -> str:
    """A new id, as of another moment."""
    milliseconds = (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(milliseconds=1)
    return f"{milliseconds:012x}"[:8] + "-" + f"{milliseconds:012x}"[8:] + prediction_id()[13:]


def request_of(number: int) -> Asked:
    """The request that a prediction of this number answers."""
    return Asked("AA", number or None)


def predicted(
    *numbers: int,
    moment: dt.datetime = NOON,
    release: str = "r1",
    environment: str = "production",
    request: Callable[[int], msgspec.Struct | dict[str, Any]] = request_of,
    product: str = "flights",
) -> Predictions:
    """The predictions that were given so many milliseconds after `moment`."""
    at = [moment + dt.timedelta(milliseconds=number) for number in numbers]
    return Predictions(
        product=product,
        environment=environment,
        release=release,
        bundle="ab" * 32,
        ids="".join(map(id_at, at)),
        at=at,
        requests=[request(number) for number in numbers],
        scores=np.array([number / 3 for number in numbers]),
        threshold=THRESHOLD,
    )


def log(folder: Path, *predictions: Predictions) -> Path:
    """Put predictions of one hour into the log as one flush."""
    return put(hour_folder(folder, predictions[0].ids), parquet(table(predictions)))
