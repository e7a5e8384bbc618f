"""The answer to a prediction request, and the record of it for the prediction log."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from ml_assets.serving.log.prediction_id import prediction_ids
from ml_assets.serving.log.record import Predictions, Sent
from ml_assets.serving.release.bundle import Bundle
from ml_assets.serving.release.loaded_releases import Serving

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EPOCH = dt.datetime(1970, 1, 1)


class BinaryPrediction(msgspec.Struct, frozen=True, gc=False):
    """One row's probability of the positive class."""

    id: str
    probability: float
    decision: bool | None


class ClassPrediction(msgspec.Struct, frozen=True, gc=False, rename={"likeliest": "class"}):
    """One row's most probable class, and the probability of each class by its name."""

    id: str
    likeliest: str
    probabilities: dict[str, float]


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """One row's value."""

    id: str
    value: float


class PredictionAnswer(msgspec.Struct, frozen=True):
    """The release that served, and its predictions in the order of the rows."""

    release: str
    predictions: "Rows"


Rows: TypeAlias = list[BinaryPrediction] | list[ClassPrediction] | list[Prediction]


def answer_of(
    serving: Serving, environment: str, *, at: float, requests: Sequence[msgspec.Struct] | Sent, scores: "NDArray[np.float64]"
) -> tuple[PredictionAnswer, Predictions]:
    """Return the answer for the client, and the same for the log; `at` is when the rows were read, in seconds since 1970."""
    bundle, ids = serving.bundle, prediction_ids(len(scores))
    predictions = Predictions(
        product=bundle.card.product,
        environment=environment,
        release=bundle.release,
        bundle=serving.pointer.bundle,
        ids="".join(ids),
        at=[_EPOCH + dt.timedelta(seconds=at)],
        requests=requests,
        scores=scores,
        threshold=bundle.card.threshold,
        classes=bundle.card.classes,
    )
    return PredictionAnswer(bundle.release, _rows_of_answer(bundle, ids, scores.tolist())), predictions


def _rows_of_answer(bundle: Bundle, ids: list[str], scores: list[Any]) -> Rows:
    if classes := bundle.card.classes:
        return [
            ClassPrediction(id, classes[row.index(max(row))], dict(zip(classes, row, strict=True)))
            for id, row in zip(ids, scores, strict=True)
        ]
    if bundle.card.task == "binary":
        return list(map(BinaryPrediction, ids, scores, bundle.decide(scores)))
    return list(map(Prediction, ids, scores))
