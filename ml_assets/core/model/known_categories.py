"""Known categories: what the rows trained on hold in those request columns whose other values the endpoint refuses.

Missing values are not categories: `nullable` of the contract rules them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from ml_assets.core.model.training import labelled
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product

Known = Mapping[str, Sequence[Any]]
"""Values by request column."""


class NothingKnown(MlAssetsError):
    """An endpoint with this policy would refuse every request, or every one that it can be tried with."""


def known_values(
    product: Product, columns: Sequence[str], trained: Iterable[tuple[pl.DataFrame, pl.DataFrame]]
) -> dict[str, list[Any]]:
    """The values of these columns, in order, in the rows that were trained on: those with a label. `trained` are the features and
    the requests of each partition."""
    values_of: dict[str, set[Any]] = {column: set() for column in columns}
    for features, requests in trained if columns else ():
        rows = requests.join(labelled(features, label=product.features.label), on=list(product.features.key), how="semi")
        for column, values in values_of.items():
            values.update(rows[column].drop_nulls().unique())
    if empty := sorted(column for column, values in values_of.items() if not values):
        raise NothingKnown(
            f"{product.name}: no row trained on has a value of {', '.join(empty)}, so every request with one would be refused; "
            f"leave {', '.join(empty)} out of endpoint.unknown_categories"
        )
    return {column: sorted(values) for column, values in values_of.items()}


def recorded_known(request_json: bytes) -> dict[str, list[Any]]:
    """The known values by column that a bundle's request.json lists."""
    return {field["name"]: field["known"] for field in json.loads(request_json) if "known" in field}


def evenly_spaced(product: Product, requests: pl.DataFrame, *, known: Known, kept: pl.Series, rows: int) -> list[int]:
    """The positions of at most `rows` requests, evenly spaced among those that have no unknown category. `kept` (n,):
    whether each keeps the rules across its columns."""
    is_accepted = kept.to_numpy().copy()
    for column, values in known.items():
        is_accepted &= (requests[column].is_null() | requests[column].is_in(values)).to_numpy()
    accepted = np.flatnonzero(is_accepted)
    if requests.height and not accepted.size:
        if not known:
            raise NothingKnown(
                f"{product.name}: each of the {requests.height} requests that may try the release breaks a rule of Request in "
                f"contract.py, which the endpoint would refuse; let the requests keep it, or leave the rule out"
            )
        raise NothingKnown(
            f"{product.name}: each of the {requests.height} requests that may try the release has a value of "
            f"{', '.join(sorted(known))} that the training never saw; train on more partitions, or let "
            f"endpoint.unknown_categories score it"
        )
    spaced = np.unique(np.linspace(0, accepted.size - 1, min(rows, accepted.size)).astype(int))
    return [int(number) for number in accepted[spaced]]
