"""Scoring many rows at once with a release's bundle, kept as the endpoint's log keeps predictions."""

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from ml_assets.serving.bundle import Bundle
from ml_assets.serving.feature_values import FeatureValues
from ml_assets.serving.prediction_record import Predictions, parquet, table

if TYPE_CHECKING:
    import polars as pl

_NAMES = UUID("6b1ff1d6-5f0c-4c5f-9d9e-1f3a4f0f7c11")


def batch_predictions(bundle: Bundle, digest: str, *, features: "pl.DataFrame", requests: "pl.DataFrame", source: str) -> bytes:
    """A Parquet file of the bundle's scores for these features; `requests` are the same rows, `digest` is the bundle's.

    Nothing in it depends on when it is made: an id is made of the bundle, the `source` of the rows and the row's number, and
    `at` is the request's own time.
    """
    known = bundle.card.features
    rows = features.select(feature["name"] for feature in known).rows()
    scores = bundle.score_features(FeatureValues.of_rows(rows, known))
    asked = requests.select(field.name for field in bundle.requests.fields if field.name in requests.columns)
    names = uuid5(_NAMES, f"{digest} {source}")
    made = Predictions(
        product=bundle.card.product,
        environment="production",
        release=bundle.release,
        bundle=digest,
        ids="".join(str(uuid5(names, str(number))) for number in range(len(scores))),
        at=requests[bundle.card.time].to_list(),
        requests=asked.to_dicts(),
        scores=scores,
        threshold=bundle.card.threshold,
    )
    return parquet([table([made])])
