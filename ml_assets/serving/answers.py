"""What a client gets for its rows, and what the prediction log keeps of it."""

import datetime as dt
from collections.abc import Sequence

import msgspec

from ml_assets.serving.bundle import Bundle
from ml_assets.serving.loaded import Serving
from ml_assets.serving.prediction_id import prediction_ids
from ml_assets.serving.prediction_record import Predictions, Sent

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


def predictions(
    serving: Serving, environment: str, *, at: float, requests: Sequence[msgspec.Struct] | Sent, scores: list[float]
) -> Predictions:
    """What a release gave for the rows of a request, which was read `at` (seconds since 1970)."""
    bundle = serving.bundle
    return Predictions(
        product=bundle.card.product,
        environment=environment,
        release=bundle.release,
        bundle=serving.pointer.bundle,
        ids=prediction_ids(len(scores)),
        at=[_EPOCH + dt.timedelta(seconds=at)],
        requests=requests,
        scores=scores,
        decisions=bundle.decide(scores),
    )


def answer(bundle: Bundle, made: Predictions) -> Answer:
    """The predictions as the client sees them."""
    if bundle.card.task == "binary":
        return Answer(bundle.release, list(map(BinaryPrediction, made.ids, made.scores, made.decisions)))
    return Answer(bundle.release, list(map(Prediction, made.ids, made.scores)))
