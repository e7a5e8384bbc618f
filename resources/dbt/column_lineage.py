"""The source columns of each column of a model, read off its compiled SQL. Knows neither dbt nor Dagster.

dagster-dbt tells this only in the event stream of a dbt subprocess, per model; here it is static, up to the sources, and kept
with the parsed project. tests/stages/test_column_lineage_oracle.py holds the two equal.
"""

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot.lineage import Node
    from sqlglot.schema import MappingSchema

Column = tuple[str, str]  # ("flights_requests" or "dataset.flights", column)
Origins = Mapping[str, tuple[Column, ...]]


def trace(*, model: str, sql: Mapping[str, str], columns: Mapping[str, Mapping[str, str]]) -> Origins:
    """The source columns behind each column of a model.

    `sql` is the compiled SQL of every model by name, `columns` the column types of every relation: a model by its name,
    a source as "<schema>.<table>".
    """
    schema = _sqlglot_schema(columns)
    parents = {name: _parents(text, schema) for name, text in sql.items()}
    written = {relation: {name.lower(): name for name in types} for relation, types in columns.items()}
    return {
        column: tuple(
            sorted(
                (source, written.get(source, {}).get(name, name)) for source, name in _sources((model, column.lower()), parents)
            )
        )
        for column in columns[model]
    }


def _sources(column: Column, parents: Mapping[str, Origins]) -> Set[Column]:
    relation, name = column
    if relation not in parents:
        return {column}
    return {source for parent in parents[relation].get(name, ()) for source in _sources(parent, parents)}


def _parents(text: str, schema: "MappingSchema") -> Origins:
    """The columns of the relations that one query reads, per output column. All names in small letters: DuckDB does not tell
    them apart."""
    from sqlglot import exp, parse_one
    from sqlglot.lineage import lineage
    from sqlglot.optimizer import build_scope
    from sqlglot.optimizer.qualify import qualify

    query = qualify(parse_one(text, dialect="duckdb"), dialect="duckdb", schema=schema, validate_qualify_columns=False)
    assert isinstance(query, exp.Query)
    nodes = lineage(None, query, schema, scope=build_scope(query), dialect="duckdb")
    return {name.lower(): tuple(sorted(_leaves(node))) for name, node in nodes.items()}


def _leaves(root: "Node") -> Set[Column]:
    from sqlglot import exp, parse_one

    leaves = [node for node in root.walk() if not node.downstream and isinstance(node.expression, exp.Table)]
    # A leaf is named as SQL: `orders."net.price"`.
    return {(_relation(node.expression), parse_one(node.name, dialect="duckdb").name) for node in leaves}


def _relation(table: Any) -> str:
    return table.name if table.db == "main" else f"{table.db}.{table.name}"


def _sqlglot_schema(columns: Mapping[str, Mapping[str, str]]) -> "MappingSchema":
    """Names as they are to be found, and not normalized: sqlglot would parse each as SQL, where `select` is no name."""
    from sqlglot.schema import MappingSchema

    nested: dict[str, Any] = {}
    for relation, types in columns.items():
        schema, _, table = relation.rpartition(".")
        named = {name.lower(): type for name, type in types.items()}
        nested.setdefault("features", {}).setdefault(schema or "main", {})[table] = named
    return MappingSchema(nested, dialect="duckdb", normalize=False)
