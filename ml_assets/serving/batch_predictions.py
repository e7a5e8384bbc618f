"""Scoring many rows at once with a release's bundle, kept as the endpoint's log keeps predictions."""

from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from ml_assets.serving.bundle import Bundle
from ml_assets.serving.feature_values import FeatureValues
from ml_assets.serving.prediction_record import Record, parquet, table

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
    scores = bundle.score_features(FeatureValues.of_rows(rows, known)).tolist()
    asked = requests.select(field.name for field in bundle.requests.fields if field.name in requests.columns)
    product, release, names = bundle.card.product, bundle.release, uuid5(_NAMES, f"{digest} {source}")
    records = [
        Record(str(uuid5(names, str(n))), at, product, "production", release, digest, request, score, bundle.decide(score))
        for n, (at, request, score) in enumerate(zip(requests[bundle.card.time], asked.to_dicts(), scores, strict=True))
    ]
    return parquet([table(records)])
