"""features.sql as a function of NumPy columns, at a fraction of DuckDB's cost; compiled/features.py decides whether it serves."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from ml_assets.serving.compiled.sql.arithmetic import as_kind
from ml_assets.serving.compiled.sql.lookups import Lookup
from ml_assets.serving.compiled.sql.numpy_code import INT64, Columns, FeatureFunction, Kind, NumpyCode, Term
from ml_assets.serving.compiled.sql.relations import Tables, columns_of
from ml_assets.serving.compiled.unsupported import Unsupported
from ml_assets.serving.plain.duckdb_features import FeatureQuery
from ml_assets.serving.plain.feature_values import CATEGORY
from ml_assets.serving.requests.field import Field


def compile_query(query: FeatureQuery) -> FeatureFunction:
    """Compile a release's features.sql to a function of its requests' fields. Raises Unsupported."""
    from sqlglot import parse
    from sqlglot.errors import SqlglotError

    try:
        (statement,) = parse(query.sql, dialect="duckdb")
    except (SqlglotError, ValueError) as error:
        raise Unsupported(f"not one statement that sqlglot reads: {error}") from error
    if statement is None:
        raise Unsupported("no statement")
    code = NumpyCode()
    variables = [f"r{position}" for position in range(len(query.fields))]
    requests = _request_columns(query.fields, variables, code)
    lookups = {name.lower(): Lookup(name, content) for name, content in query.lookups.items()}
    columns = columns_of(statement, Tables({query.relation.lower(): requests}, lookups), code)
    results = [(_feature(feature, columns, code), feature["kind"] == CATEGORY) for feature in query.features]
    return code.function(variables, results)


_AS_COLUMN: Mapping[str, tuple[Kind, str, Any]] = {
    "string": ("string", "texts", ""),
    "integer": ("integer", "integers", 0),
    "number": ("number", "doubles", None),
    "boolean": ("boolean", "booleans", False),
    "timestamp": ("timestamp", "microseconds", dt.datetime(1970, 1, 1)),
}
"""The kind of a field's values, the function that makes an array of them, and the value that represents null where that needs
one."""


def _request_columns(fields: Sequence[Field], variables: Sequence[str], code: NumpyCode) -> Columns:
    def column(field: Field, variable: str) -> Term:
        kind, function, filler = _AS_COLUMN[field.type]
        limits = field.whole_limits or INT64
        text = variable if kind == "string" else None
        if not field.nullable:
            return Term(code.variable(f"{function}({variable})"), kind, within=limits, given=text)
        if kind == "number":
            values = code.variable(f"doubles({variable})")
            return Term(values, kind, code.variable(f"isnan({values})"), is_marked=True)
        values = code.variable(f"{function}(filled({variable}, {code.value(filler)}))")
        return Term(values, kind, code.variable(f"absent({variable})"), within=limits, given=text)

    if len({field.name.lower() for field in fields}) < len(fields):
        raise Unsupported("request fields that differ in case only")
    return {field.name.lower(): cache(partial(column, field, name)) for field, name in zip(fields, variables, strict=True)}


def _feature(feature: Mapping[str, str], columns: Columns, code: NumpyCode) -> Term:
    name = feature["name"].lower()
    if name not in columns:
        raise Unsupported(f"no column {name}")
    term = columns[name]()
    if feature["kind"] != CATEGORY and term.kind in ("integer", "small", "boolean"):
        return term  # written among doubles, it becomes one
    return as_kind(term, "string" if feature["kind"] == CATEGORY else "number", code)
