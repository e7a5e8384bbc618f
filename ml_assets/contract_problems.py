"""What is wrong with a contract.py, by itself and beside its product.yaml. Reads no data."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ml_assets.spec_file import unknown_name

if TYPE_CHECKING:
    from ml_assets.product import Product

_DECLARES = ("TABLES", "Request", "Features")


def contract_problems(module: ModuleType, product: "Product", *, file: Path, spec: Path) -> list[str]:
    """Every mistake: in what the module declares or, if that can be read, in how it goes with the declaration."""
    return list(_unreadable(module, file)) or [
        *_table_problems(module, product, file=file, spec=spec),
        *_category_problems(module, product, spec=spec),
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


def _table_problems(module: ModuleType, product: "Product", *, file: Path, spec: Path) -> Iterator[str]:
    tables = module.TABLES
    for name in product.tables:
        if name not in tables:
            yield f"{file}: table '{name}' of {spec.name} has no contract in TABLES"
    for name in tables:
        if name not in product.tables:
            yield f"{file}: TABLES['{name}'] is no table of {spec.name}; {unknown_name(name, allowed=product.tables)}"
    for name, table in product.delivery.tables.items():
        columns = tables[name].to_schema().columns if name in tables else {table.time: None}
        if table.time not in columns:
            hint = unknown_name(table.time, allowed=columns)
            yield f"{file}: TABLES['{name}'] lacks the time column '{table.time}'; {hint}"


def _category_problems(module: ModuleType, product: "Product", *, spec: Path) -> Iterator[str]:
    """Policies for columns that a request does not have, or that hold no categories."""
    import polars as pl

    columns = module.Request.to_schema().columns
    dtypes = {name: column.dtype.type for name, column in columns.items() if column.dtype is not None}
    allowed = [name for name, dtype in dtypes.items() if dtype == pl.String or dtype.is_integer()]
    for name in product.endpoint.unknown_categories:
        if name not in allowed:
            wrong = f"holds {dtypes[name]}, not text or whole numbers" if name in dtypes else "is no column of Request"
            yield f"{spec}: endpoint.unknown_categories: '{name}' {wrong}; {unknown_name(name, allowed=allowed)}"
