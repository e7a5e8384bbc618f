"""Rules across columns that could not judge rows: each is tried on a table of its model without a row."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from ml_assets.core.contract.schema import polars_schema, rules_of
from ml_assets.spec.declaration_places import Places
from ml_assets.spec.product import Product

_LONGEST = 200
"""Characters of an error that are shown."""


def rule_problems(product: Product, places: Places) -> list[str]:
    """The problems of the checks across columns. The models can be read."""
    contract = product.contract
    models = dict.fromkeys([*contract.TABLES.values(), contract.Request, contract.Features])
    return [problem for model in models for problem in _of_model(model, places)]


def _of_model(model: Any, places: Places) -> Iterator[str]:
    from pandera.api.polars.types import PolarsData

    rows, scopes = pl.DataFrame(schema=polars_schema(model)), rules_of(model).scopes
    for check in model.to_schema().checks:
        where = f"{places.column(model, check.name)}: {model.__name__}.{check.name}"
        try:
            judged = check._check_fn(PolarsData(rows.lazy(), "*"))
            count = judged.collect().height if isinstance(judged, pl.LazyFrame) else 1
        except Exception as error:  # noqa: BLE001 - what the author of contract.py wrote may raise anything, and is named with it
            words = " ".join(str(error).split())[:_LONGEST]
            yield f"{where}: the check cannot judge rows of the model: {type(error).__name__}: {words}"
            continue
        if scopes[check.name] == "rows" and count:
            yield f'{where}: the check judges the table as a whole, and its scope is rows; write scope="partition"'
