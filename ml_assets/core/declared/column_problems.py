"""Columns that product.yaml names and the contract does not have, and columns of a kind that their place cannot take."""

from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from ml_assets.core.contract.schema import columns_known_after, polars_schema
from ml_assets.core.metrics.units import CALENDAR
from ml_assets.spec.declaration_places import Places
from ml_assets.spec.product import Product
from ml_assets.spec.yaml_file import unknown_name

_OWN_UNITS = (*CALENDAR, "row")
_RESERVED_FIELD = "rows"


def column_problems(product: Product, places: Places) -> list[str]:
    """Every name and every type that does not fit. The models can be read."""
    return [
        *_identity_problems(product, places),
        *_named_problems(product, places),
        *_feature_problems(product, places),
        *_time_problems(product, places),
        *_outcome_problems(product, places),
        *_request_problems(product, places),
    ]


def _identity_problems(product: Product, places: Places) -> Iterator[str]:
    """Key and time join a request to its features, so both models have them; the label is in neither."""
    names = [(("features", "key", number), name) for number, name in enumerate(product.features.key)]
    for model in (product.contract.Request, product.contract.Features):
        columns = polars_schema(model)
        timed = [(("features", "time"), product.features.time)] if product.features.time else []
        for loc, name in [*names, *timed]:
            yield from _absent(name, columns, where=places.key(*loc), model=model.__name__)
        if product.features.label in columns:
            where, label = places.column(model, product.features.label), product.features.label
            yield f"{where}: '{label}' is the label, which is not known when the question is asked; leave it out here"


def _named_problems(product: Product, places: Places) -> Iterator[str]:
    """Columns by which rows are divided, and those that monitoring ignores."""
    columns, unit = polars_schema(product.contract.Features), product.gates.unit
    simple = product.gates.baselines.baseline
    if simple and simple.last_value and not product.features.time:
        where = places.key("gates", "baselines", "baseline")
        yield f"{where}: no row is the last one where a question has no time; declare features.time, or another baseline"
    named: list[tuple[tuple[str | int, ...], str]] = []
    named += [(("evaluation", "slices", number), name) for number, name in enumerate(product.evaluation.slices)]
    named += [(("monitoring", "ignore", number), name) for number, name in enumerate(product.monitoring.ignore)]
    for number, claim in enumerate(product.gates.claims):
        divided = [*claim.for_each, *(column for measure in claim.form.measures for column in measure.columns)]
        named += [(("gates", "claims", number), name) for name in dict.fromkeys(divided)]
    named += [(("gates", "baselines", "baseline"), name) for name in (simple.columns if simple else ())]
    for loc, name in named:
        yield from _absent(name, columns, where=places.key(*loc), model="Features")
    if unit not in _OWN_UNITS and unit not in columns:
        hint = unknown_name(unit, allowed=[*_OWN_UNITS, *columns])
        yield f"{places.key('gates', 'unit')}: '{unit}' is neither a unit of time nor a column of Features; {hint}"


def _feature_problems(product: Product, places: Places) -> Iterator[str]:
    model, identity = product.contract.Features, product.features.identity
    features = {name: dtype for name, dtype in polars_schema(model).items() if name not in identity}
    if not features:
        yield f"{places.model(model.__name__)}: Features has only key and time; add the columns that the model sees"
    for name, dtype in features.items():
        if dtype.is_temporal():
            cure = "let the SQL of the features make numbers of it, such as epoch(…) or hour(…)"
            yield f"{places.column(model, name)}: feature '{name}' is {dtype}, and a model sees text and numbers; {cure}"
        elif not (dtype in (pl.String, pl.Boolean) or dtype.is_integer() or dtype.is_float()):
            yield f"{places.column(model, name)}: feature '{name}' is {dtype}; allowed: str, int, float, bool"


def _time_problems(product: Product, places: Places) -> Iterator[str]:
    times = [(product.contract.TABLES[name], table.time) for name, table in product.delivery.tables.items()]
    times += [(model, product.features.time) for model in (product.contract.Request, product.contract.Features)]
    for model, name in times:
        dtype = polars_schema(model).get(name)
        if dtype is not None and not isinstance(dtype, pl.Datetime):
            yield f"{places.column(model, name)}: '{name}' is the time of a row and {dtype} here; declare it as datetime"


def _outcome_problems(product: Product, places: Places) -> Iterator[str]:
    """Without a declared outcome the leakage check has nothing to erase, and would let every leak through."""
    tables = product.contract.TABLES
    if product.labels is not None and product.labels.delivered:
        return  # outcomes are delivered apart, where no feature can read them
    if not any(columns_known_after(tables[name]) for name in product.delivery.tables):
        cure = 'declare the outcome: pa.Field(metadata={"known": "after"})'
        yield f"{places.assignment('TABLES')}: no column of a delivered table is an outcome; {cure}"


def _request_problems(product: Product, places: Places) -> Iterator[str]:
    model = product.contract.Request
    if _RESERVED_FIELD in polars_schema(model):
        where = places.column(model, _RESERVED_FIELD)
        yield f"{where}: a request with many rows has them in 'rows'; call the field something else"


def _absent(name: str, columns: Iterable[str], *, where: str, model: Any) -> Iterator[str]:
    if name not in columns:
        yield f"{where}: '{name}' is not a column of {model}; {unknown_name(name, allowed=columns)}"
