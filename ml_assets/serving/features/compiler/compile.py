"""features.sql compiled to one function of numpy columns, for the SQL whose results are known: a fraction of DuckDB's cost.

It is used only after it gave DuckDB's values on probe rows (features/compute.py decides that).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from ml_assets.serving.features.compiler.code import INT64, Code, Columns, CompiledFeatures, Kind, Term, Unsupported
from ml_assets.serving.features.compiler.lookups import Lookup
from ml_assets.serving.features.compiler.numbers import as_kind
from ml_assets.serving.features.compiler.relations import Tables, columns_of
from ml_assets.serving.features.values import CATEGORY


def compile_features(
    *,
    sql: str,
    relation: str,
    columns: Mapping[str, str],
    nullable: frozenset[str],
    within: Mapping[str, tuple[int, int]],
    features: Sequence[Mapping[str, str]],
    lookups: Mapping[str, bytes],
) -> CompiledFeatures:
    """The function from the values of `columns` in some requests to feature values. Raises Unsupported.

    `within` has the least and largest value of integer columns that have limits.
    """
    from sqlglot import parse
    from sqlglot.errors import SqlglotError

    try:
        (query,) = parse(sql, dialect="duckdb")
    except (SqlglotError, ValueError) as error:
        raise Unsupported(f"not one statement that sqlglot reads: {error}") from error
    if query is None:
        raise Unsupported("no statement")
    code = Code()
    fields = [f"r{position}" for position in range(len(columns))]
    request = _request(dict(zip(columns, fields, strict=True)), columns, nullable, within, code)
    tables = Tables({relation.lower(): request}, {name.lower(): Lookup(name, content) for name, content in lookups.items()})
    made = columns_of(query, tables, code)
    results = [(_feature(feature, made, code), feature["kind"] == CATEGORY) for feature in features]
    return code.function(fields, results)


_AS_COLUMN: Mapping[str, tuple[Kind, str, Any]] = {
    "string": ("string", "texts", ""),
    "integer": ("integer", "integers", 0),
    "number": ("number", "doubles", None),
    "boolean": ("boolean", "booleans", False),
    "timestamp": ("timestamp", "microseconds", dt.datetime(1970, 1, 1)),
}
"""The kind of a field's values, the function that makes an array of them, and what stands for null where that needs it."""


def _request(
    variables: Mapping[str, str],
    columns: Mapping[str, str],
    nullable: frozenset[str],
    within: Mapping[str, tuple[int, int]],
    code: Code,
) -> Columns:
    def column(name: str) -> Term:
        kind, function, filler = _AS_COLUMN[columns[name]]
        given, limits = variables[name], within.get(name, INT64)
        text = given if kind == "string" else None
        if name not in nullable:
            return Term(code.let(f"{function}({given})"), kind, within=limits, given=text)
        if kind == "number":
            values = code.let(f"doubles({given})")
            return Term(values, kind, code.let(f"isnan({values})"), is_marked=True)
        values = code.let(f"{function}(filled({given}, {code.value(filler)}))")
        return Term(values, kind, code.let(f"absent({given})"), within=limits, given=text)

    if len({name.lower() for name in columns}) < len(columns):
        raise Unsupported("request fields that differ in case only")
    return {name.lower(): cache(partial(column, name)) for name in columns}


def _feature(feature: Mapping[str, str], made: Columns, code: Code) -> Term:
    name = feature["name"].lower()
    if name not in made:
        raise Unsupported(f"no column {name}")
    made_of = made[name]()
    if feature["kind"] != CATEGORY and made_of.kind in ("integer", "small", "boolean"):
        return made_of  # written among doubles, it becomes one
    return as_kind(made_of, "string" if feature["kind"] == CATEGORY else "number", code)
