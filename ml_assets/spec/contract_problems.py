"""The mistakes in a contract.py, alone and together with its product.yaml. Reads no data."""

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from ml_assets.spec.declaration_places import Places
from ml_assets.spec.delivery import DeliverySpec
from ml_assets.spec.labels import LabelsSpec
from ml_assets.spec.sections import FeatureSpec
from ml_assets.spec.yaml_file import unknown_name

_DECLARES = ("TABLES", "Request", "Features")


def contract_problems(
    module: ModuleType,
    delivery: DeliverySpec,
    labels: LabelsSpec | None,
    features: FeatureSpec,
    *,
    categories: Iterable[str],
    places: Places,
) -> list[str]:
    """Every mistake: in what the module declares or, if that can be read, in how it goes with the declaration. `categories`:
    the columns of a request for which the endpoint declares what to do with unknown categories."""
    return list(_unreadable(module, places)) or [
        *_table_problems(module, delivery, labels, places),
        *_outcome_problems(module, labels, features, places),
        *_category_problems(module, categories, places),
    ]


def _unreadable(module: ModuleType, places: Places) -> Iterator[str]:
    for name in _DECLARES:
        if not hasattr(module, name):
            yield f"{places.model(name)}: {name} is missing; contract.py declares TABLES, Request and Features"
    tables = getattr(module, "TABLES", {})
    if not isinstance(tables, dict):
        yield f"{places.assignment('TABLES')}: TABLES is not a dict of table names and pandera DataFrameModels"
        return
    models = {f"TABLES['{name}']": model for name, model in tables.items()}
    models |= {name: getattr(module, name) for name in ("Request", "Features") if hasattr(module, name)}
    for name, model in models.items():
        if not hasattr(model, "to_schema"):
            yield f"{places.assignment(name.partition('[')[0])}: {name} is not a pandera DataFrameModel"
        elif problem := _schema_problem(model):
            yield f"{places.model(model.__name__)}: {name} cannot be read: {problem}"


def _schema_problem(model: Any) -> str:
    """The reason why pandera cannot make a schema of the model; empty if it can."""
    try:
        model.to_schema()
    except Exception as error:  # noqa: BLE001 - what the author of contract.py wrote may raise anything, and is named with it
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def _table_problems(module: ModuleType, delivery: DeliverySpec, labels: LabelsSpec | None, places: Places) -> Iterator[str]:
    apart = labels.delivered if labels else {}
    tables, declared = module.TABLES, {**delivery.tables, **delivery.reference, **apart}
    for name in declared:
        if name not in tables:
            section = (
                ("labels", "delivered") if name in apart else ("delivery", "tables" if name in delivery.tables else "reference")
            )
            hint = unknown_name(name, allowed=tables)
            yield f"{places.key(*section, name)}: table '{name}' has no contract in TABLES of contract.py; {hint}"
    for name in tables:
        if name not in declared:
            hint = unknown_name(name, allowed=declared)
            yield f"{places.assignment('TABLES')}: TABLES['{name}'] is not a table of product.yaml; {hint}"
    for name, table in delivery.tables.items():
        columns = tables[name].to_schema().columns if name in tables else {table.time: None}
        if table.time and table.time not in columns:
            where, hint = places.key("delivery", "tables", name, "time"), unknown_name(table.time, allowed=columns)
            yield f"{where}: {tables[name].__name__} of contract.py lacks the time column '{table.time}'; {hint}"


def _outcome_problems(module: ModuleType, labels: LabelsSpec | None, features: FeatureSpec, places: Places) -> Iterator[str]:
    """A delivered table of outcomes has the key of the question, the outcome and, where it is declared, when it was known."""
    for name, table in labels.delivered.items() if labels else ():
        model = module.TABLES.get(name)
        columns = model.to_schema().columns if model is not None else {}
        needed = (*features.key, features.label, *([table.time] if table.time else []))
        for column in needed if columns else ():
            if column not in columns:
                hint = unknown_name(column, allowed=columns)
                yield f"{places.model(model.__name__)}: '{column}' is missing, by which outcomes are joined or known; {hint}"


def _category_problems(module: ModuleType, categories: Iterable[str], places: Places) -> Iterator[str]:
    """Policies for columns that a request does not have, or that hold no categories."""
    import polars as pl

    columns = module.Request.to_schema().columns
    dtypes = {name: column.dtype.type for name, column in columns.items() if column.dtype is not None}
    allowed = [name for name, dtype in dtypes.items() if dtype == pl.String or dtype.is_integer()]
    for name in categories:
        if name not in allowed:
            wrong = f"holds {dtypes[name]}, not text or whole numbers" if name in dtypes else "is not a column of Request"
            where, hint = places.key("endpoint", "unknown_categories", name), unknown_name(name, allowed=allowed)
            yield f"{where}: '{name}' {wrong}; {hint}"
