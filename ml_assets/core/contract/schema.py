"""A pandera model as plain values: types, limits, the unique key, request fields. Reads no data."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, get_args

import polars as pl

from ml_assets.errors import MlAssetsError
from ml_assets.spec.yaml_file import unknown_name

Model = Any  # type[pandera.polars.DataFrameModel]; pandera is imported only where rows are checked

DEFAULT_MIN_ROWS = 1
DEFAULT_MAX_QUARANTINED = 0.01
QUARANTINE_COLUMNS = ("reason", "row")
"""The columns of the quarantine about a refused row, next to its values as delivered."""
CONFLICT = ".conflict"
"""After a key's reason code: rows with one key and different values. The code alone: a row that is there already."""
Scope = Literal["rows", "partition"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""The scope of a check of a whole table: each row, which goes to quarantine, or the partition, which is not published."""
_SCOPE = "scope"
_FIELD_KEYS = ("known", "max_missing")
_TABLE_KEYS = ("min_rows", "max_quarantined")


class ContractError(MlAssetsError):
    """A contract.py that cannot be used as written."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The contract of one table. `checks` is its pandera schema without what needs more than a yes or no per row; `scopes` says
    what its checks across columns judge."""

    model: str
    dtypes: Mapping[str, pl.DataType]
    nullable: frozenset[str]
    max_missing: Mapping[str, float]
    known_after: tuple[str, ...]
    keys: Mapping[str, tuple[str, ...]]  # reason code -> columns that are unique together
    min_rows: int
    max_quarantined: float
    drops_extra_columns: bool
    scopes: Mapping[str, Scope]
    checks: Any


@cache
def rules_of(model: Model) -> Rules:
    """The rules that a pandera DataFrameModel declares."""
    schema = model.to_schema()
    fields = {
        name: _metadata(column.metadata, allowed=_FIELD_KEYS, where=f"{model.__name__}.{name}")
        for name, column in schema.columns.items()
    }
    table = _metadata(getattr(model.Config, "metadata", None), allowed=_TABLE_KEYS, where=f"{model.__name__}.Config")
    _refuse_what_bends_rows(schema, model=model)
    return Rules(
        model=model.__name__,
        dtypes=polars_schema(model),
        nullable=frozenset(name for name, column in schema.columns.items() if column.nullable),
        max_missing={name: float(field["max_missing"]) for name, field in fields.items() if "max_missing" in field},
        known_after=tuple(name for name, field in fields.items() if _known(field, where=f"{model.__name__}.{name}") == "after"),
        keys=_keys(schema),
        min_rows=max(int(table.get("min_rows", DEFAULT_MIN_ROWS)), 1),
        max_quarantined=float(table.get("max_quarantined", DEFAULT_MAX_QUARANTINED)),
        drops_extra_columns=schema.strict == "filter",
        scopes=_scopes(schema, model=model),
        checks=_row_checks(schema),
    )


def polars_schema(model: Model) -> dict[str, pl.DataType]:
    """Column names and polars types, in the order of the model."""
    schema = {}
    for name, column in model.to_schema().columns.items():
        if column.dtype is None or column.regex:
            raise ContractError(f"{model.__name__}.{name}: every column needs one name and one type")
        dtype = column.dtype.type
        schema[name] = dtype if isinstance(dtype, pl.DataType) else dtype()
    return schema


def schema_to_validate(model: Model) -> Any:
    """The model's pandera schema, whose checks across columns can be run: what their `scope` says is for the engine."""
    return _without_scopes(copy.deepcopy(model.to_schema()))


def columns_known_after(contract_table: Model) -> list[str]:
    """The outcomes: columns that nobody knows yet when the question is asked."""
    return list(rules_of(contract_table).known_after)


def request_fields(model: Model) -> list[dict[str, Any]]:
    """The entries of request.json: what a request to the endpoint must look like."""
    rules, columns = rules_of(model), model.to_schema().columns
    entries = []
    for name, dtype in rules.dtypes.items():
        entry: dict[str, Any] = {"name": name, "type": _request_type(dtype, where=f"{model.__name__}.{name}")}
        entry |= {"nullable": name in rules.nullable, "ge": None, "le": None, "isin": None}
        for check in columns[name].checks:
            _narrow(entry, _limits(check, whole=dtype.is_integer(), where=f"{model.__name__}.{name}"))
        entries.append(entry)
    return entries


def _request_type(dtype: pl.DataType, *, where: str) -> str:
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "number"
    for name, kind in {"string": pl.String, "timestamp": pl.Datetime, "boolean": pl.Boolean}.items():
        if dtype == kind:
            return name
    raise ContractError(f"{where}: a request cannot carry {dtype}; allowed: str, int, float, bool, datetime")


def _limits(check: Any, *, whole: bool, where: str) -> dict[str, Any]:
    """A pandera check as ge, le and isin."""
    statistics: Mapping[str, Any] = check.statistics or {}
    lower, upper = statistics.get("min_value"), statistics.get("max_value")
    match check.name:
        case "greater_than_or_equal_to":
            return {"ge": lower}
        case "less_than_or_equal_to":
            return {"le": upper}
        case "greater_than" if whole and lower is not None:
            return {"ge": lower + 1}
        case "less_than" if whole and upper is not None:
            return {"le": upper - 1}
        case "in_range" | "between" if statistics.get("include_min", True) and statistics.get("include_max", True):
            return {"ge": lower, "le": upper}
        case "isin":
            return {"isin": list(statistics["allowed_values"])}
        case "equal_to":
            return {"isin": [statistics["value"]]}
    raise ContractError(
        f"{where}: the endpoint cannot hold a request to the check '{check.name}'; allowed: ge, le, isin, eq, in_range"
    )


def _narrow(entry: dict[str, Any], limits: Mapping[str, Any]) -> None:
    """Adds limits to those that an entry has; the narrower one holds."""
    for name, limit in limits.items():
        value = limit.isoformat() if isinstance(limit, datetime) else limit
        current = entry[name]
        if current is None:
            entry[name] = value
        elif name == "isin":
            entry[name] = [item for item in current if item in value]
        else:
            entry[name] = max(current, value) if name == "ge" else min(current, value)


def _metadata(metadata: Mapping[str, Any] | None, *, allowed: tuple[str, ...], where: str) -> Mapping[str, Any]:
    for key in metadata or {}:
        if key not in allowed:
            raise ContractError(f"{where}: unknown metadata '{key}'; {unknown_name(key, allowed=allowed)}")
    return metadata or {}


def _known(field: Mapping[str, Any], *, where: str) -> str:
    known = str(field.get("known", "request"))
    if known not in ("request", "after"):
        raise ContractError(f"{where}: known is '{known}'; allowed: request, after")
    return known


def quarantined_name(name: str) -> str:
    """The name of a delivered column in the quarantine, whose own columns keep theirs."""
    return f"{name} (delivered)" if name in QUARANTINE_COLUMNS else name


def _keys(schema: Any) -> dict[str, tuple[str, ...]]:
    together = {"unique_key": tuple(schema.unique)} if schema.unique else {}
    return together | {f"{name}.unique": (name,) for name, column in schema.columns.items() if column.unique}


def _refuse_what_bends_rows(schema: Any, *, model: Model) -> None:
    if schema.parsers or any(column.parsers for column in schema.columns.values()):
        raise ContractError(f"{model.__name__}: a parser would change delivered values; change them in a dbt model")


def _scopes(schema: Any, *, model: Model) -> dict[str, Scope]:
    """The scope of each check across columns, by the check's name."""
    scopes: dict[str, Scope] = {}
    for check in schema.checks:
        scope = check._check_kwargs.get(_SCOPE)
        if scope not in SCOPES:
            problem = "does not say what it judges" if scope is None else f"has the scope '{scope}'"
            raise ContractError(
                f"{model.__name__}.{check.name}: the check across columns {problem}; write "
                f'@pa.dataframe_check(scope="rows") (a row that breaks it goes to quarantine) or scope="partition" (the delivery '
                f"is not published)"
            )
        scopes[check.name] = scope
    return scopes


def _without_scopes(schema: Any) -> Any:
    for check in schema.checks:
        check._check_kwargs.pop(_SCOPE, None)
    return schema


def _row_checks(schema: Any) -> Any:
    """The schema with its value checks alone: missing values, keys and types are judged apart."""
    checks = _without_scopes(copy.deepcopy(schema))
    checks.unique, checks.strict, checks.ordered, checks.coerce, checks.drop_invalid_rows = (
        None,
        False,
        False,
        False,
        False,
    )
    for column in checks.columns.values():
        column.nullable, column.unique, column.coerce, column.drop_invalid_rows = True, False, False, False
    return checks
