"""features.sql compiled to one Python function, for the SQL whose results are known: a thousandth of DuckDB's cost for a row.

It is used only after it gave DuckDB's values on probe rows (serving.features decides that).
"""

from collections.abc import Mapping, Sequence
from functools import partial

from ml_assets.serving.sql_code import Code, Columns, Kind, RowFunction, Term, Unsupported
from ml_assets.serving.sql_expressions import as_kind
from ml_assets.serving.sql_lookups import Lookup
from ml_assets.serving.sql_relations import Tables, columns_of
from ml_assets.serving.sql_times import from_datetime


def compile_features(
    *,
    sql: str,
    relation: str,
    columns: Mapping[str, str],
    nullable: frozenset[str],
    features: Sequence[Mapping[str, str]],
    lookups: Mapping[str, bytes],
) -> RowFunction:
    """The function from request rows (the values of `columns`) to feature values. Raises Unsupported."""
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
    request = _request(dict(zip(columns, fields, strict=True)), columns, nullable, code)
    tables = Tables({relation.lower(): request}, {name.lower(): Lookup(name, content) for name, content in lookups.items()})
    made = columns_of(query, tables, code)
    results = [_feature(feature, made, code).code for feature in features]
    return code.function(fields, results)


def _request(variables: Mapping[str, str], columns: Mapping[str, str], nullable: frozenset[str], code: Code) -> Columns:
    kinds: dict[str, Kind] = {
        "string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "timestamp": "timestamp"
    }  # fmt: skip
    terms: dict[str, Term] = {}

    def field(name: str) -> Term:
        if name not in terms:
            kind, variable, can_miss = kinds[columns[name]], variables[name], name in nullable
            is_time = kind == "timestamp"
            terms[name] = from_datetime(code, variable, nullable=can_miss) if is_time else Term(variable, kind, can_miss)
        return terms[name]

    if len({name.lower() for name in columns}) < len(columns):
        raise Unsupported("request fields that differ in case only")
    return {name.lower(): partial(field, name) for name in columns}


def _feature(feature: Mapping[str, str], made: Columns, code: Code) -> Term:
    name = feature["name"].lower()
    if name not in made:
        raise Unsupported(f"no column {name}")
    return as_kind(made[name](), "string" if feature["kind"] == "category" else "number", code)
