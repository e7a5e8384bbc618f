"""What a client gets for its rows, and what the prediction log keeps of it."""

import datetime as dt
from collections.abc import Sequence

import msgspec

from ml_assets.serving.bundle import Bundle
from ml_assets.serving.loaded import Serving
from ml_assets.serving.prediction_id import prediction_ids
from ml_assets.serving.prediction_record import Record

_EPOCH = dt.datetime(1970, 1, 1)


class BinaryPrediction(msgspec.Struct, frozen=True, gc=False):
    """One row's probability of the positive class."""

    id: str
    probability: float
    decision: bool | None


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """One row's value."""

    id: str
    value: float


class Answer(msgspec.Struct, frozen=True):
    """The release that answered, and its predictions in the order of the rows."""

    release: str
    predictions: list[BinaryPrediction] | list[Prediction]


def records(
    serving: Serving, environment: str, *, at: float, rows: Sequence[msgspec.Struct], scores: Sequence[float]
) -> list[Record]:
    """One record for each scored row."""
    bundle, digest, moment = serving.bundle, serving.pointer.bundle, _EPOCH + dt.timedelta(seconds=at)
    product, release = bundle.card.product, bundle.release
    return [
        Record(id, moment, product, environment, release, digest, row, score, bundle.decide(score))
        for id, row, score in zip(prediction_ids(len(rows)), rows, scores, strict=True)
    ]


def answer(bundle: Bundle, made: Sequence[Record]) -> Answer:
    """The records as the client sees them."""
    if bundle.card.task == "binary":
        return Answer(bundle.release, [BinaryPrediction(each.id, each.score, each.decision) for each in made])
    return Answer(bundle.release, [Prediction(each.id, each.score) for each in made])
