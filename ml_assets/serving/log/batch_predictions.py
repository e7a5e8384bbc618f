"""Batch predictions as one Parquet file, with the columns of the endpoint's log."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from ml_assets.serving.log.record import Predictions, parquet, table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

_NAMES = UUID("6b1ff1d6-5f0c-4c5f-9d9e-1f3a4f0f7c11")


def batch_predictions(
    about: Mapping[str, Any],
    digest: str,
    *,
    fields: Sequence[str],
    requests: "pl.DataFrame",
    scores: "np.ndarray",
    source: str,
) -> bytes:
    """Write the float64 scores (n,), or (n, its classes), that a bundle gave to n requests as Parquet; `about` is its
    bundle.json, `digest` its digest.

    The bytes don't depend on when it is written: an id is made of the bundle, the `source` of the rows and the row's number, and
    `at` is the request's own time; null where a question has none.
    """
    names = uuid5(_NAMES, f"{digest} {source}")
    predictions = Predictions(
        product=about["product"],
        environment="production",
        release=about["release"],
        bundle=digest,
        ids="".join(str(uuid5(names, str(number))) for number in range(len(scores))),
        at=requests[about["time"]].to_list() if about["time"] else [None] * requests.height,
        requests=requests.select(fields).to_dicts(),
        scores=scores,
        threshold=about["threshold"],
        classes=tuple(about.get("classes", ())),
    )
    return parquet(table([predictions]))
