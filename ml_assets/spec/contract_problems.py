"""What is wrong with a contract.py, by itself and beside its product.yaml. Reads no data."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

from ml_assets.spec.sections import DeliverySpec, Every, FeatureSpec
from ml_assets.spec.yaml_file import unknown_name

CALENDAR: tuple[Every, ...] = get_args(Every)
UNIT = "gates.unit"
_DECLARES = ("TABLES", "Request", "Features")


def contract_problems(
    module: ModuleType,
    delivery: DeliverySpec,
    *,
    categories: Iterable[str],
    divided: Iterable[tuple[str, str]],
    features: FeatureSpec,
    file: Path,
    spec: Path,
    line_of: Callable[[str], int],
) -> list[str]:
    """Every mistake: in what the module declares or, if that can be read, in how it goes with the declaration. `categories`:
    the columns of a request for which the endpoint declares what to do with unknown categories; `divided`: columns of
    the features that gates read, each with the path of its declaration, whose line is `line_of`."""
    return list(_unreadable(module, file)) or [
        *_table_problems(module, delivery, file=file, spec=spec),
        *_category_problems(module, categories, spec=spec),
        *_gate_problems(module, divided, features, spec=spec, line_of=line_of),
    ]


def _unreadable(module: ModuleType, file: Path) -> Iterator[str]:
    for name in _DECLARES:
        if not hasattr(module, name):
            yield f"{file}: {name} is missing; {file.name} declares TABLES, Request and Features"
    models = {f"TABLES['{name}']": model for name, model in getattr(module, "TABLES", {}).items()}
    models |= {name: getattr(module, name) for name in ("Request", "Features") if hasattr(module, name)}
    for name, model in models.items():
        if not hasattr(model, "to_schema"):
            yield f"{file}: {name} is no pandera DataFrameModel"


def _table_problems(module: ModuleType, delivery: DeliverySpec, *, file: Path, spec: Path) -> Iterator[str]:
    tables, declared = module.TABLES, (*delivery.tables, *delivery.reference)
    for name in declared:
        if name not in tables:
            yield f"{file}: table '{name}' of {spec.name} has no contract in TABLES"
    for name in tables:
        if name not in declared:
            yield f"{file}: TABLES['{name}'] is no table of {spec.name}; {unknown_name(name, allowed=declared)}"
    for name, table in delivery.tables.items():
        columns = tables[name].to_schema().columns if name in tables else {table.time: None}
        if table.time not in columns:
            hint = unknown_name(table.time, allowed=columns)
            yield f"{file}: TABLES['{name}'] lacks the time column '{table.time}'; {hint}"


def _category_problems(module: ModuleType, categories: Iterable[str], *, spec: Path) -> Iterator[str]:
    """Policies for columns that a request does not have, or that hold no categories."""
    import polars as pl

    columns = module.Request.to_schema().columns
    dtypes = {name: column.dtype.type for name, column in columns.items() if column.dtype is not None}
    allowed = [name for name, dtype in dtypes.items() if dtype == pl.String or dtype.is_integer()]
    for name in categories:
        if name not in allowed:
            wrong = f"holds {dtypes[name]}, not text or whole numbers" if name in dtypes else "is no column of Request"
            yield f"{spec}: endpoint.unknown_categories: '{name}' {wrong}; {unknown_name(name, allowed=allowed)}"


def _gate_problems(
    module: ModuleType,
    divided: Iterable[tuple[str, str]],
    features: FeatureSpec,
    *,
    spec: Path,
    line_of: Callable[[str], int],
) -> Iterator[str]:
    """Columns that gates read and the features do not have."""
    columns = {*features.key, features.time, features.label, *module.Features.to_schema().columns}
    for path, name in divided:
        allowed = (*CALENDAR, "row", *columns) if path == UNIT else columns
        if name not in allowed:
            yield f"{spec}:{line_of(path)}: {path}: '{name}' is no column of the features; {unknown_name(name, allowed=allowed)}"
