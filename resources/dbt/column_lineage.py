"""The source columns of each column of a model, read off its compiled SQL. Knows neither dbt nor Dagster.

dagster-dbt tells this only in the event stream of a dbt subprocess, per model; here it is static, up to the sources, and kept
with the parsed project. tests/stages/test_column_lineage_oracle.py holds the two equal.
"""

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot.lineage import Node

Column = tuple[str, str]  # ("flights_requests" or "dataset.flights", column)
Origins = Mapping[str, tuple[Column, ...]]


def trace(*, model: str, sql: Mapping[str, str], columns: Mapping[str, Mapping[str, str]]) -> Origins:
    """The source columns behind each column of a model.

    `sql` is the compiled SQL of every model by name, `columns` the column types of every relation: a model by its name,
    a source as "<schema>.<table>".
    """
    parents = {name: _parents(text, _sqlglot_schema(columns)) for name, text in sql.items()}
    return {column: tuple(sorted(_sources((model, column), parents))) for column in columns[model]}


def _sources(column: Column, parents: Mapping[str, Origins]) -> Set[Column]:
    relation, name = column
    if relation not in parents:
        return {column}
    return {source for parent in parents[relation].get(name, ()) for source in _sources(parent, parents)}


def _parents(text: str, schema: dict[str, Any]) -> Origins:
    """The columns of the relations that one query reads, per output column."""
    from sqlglot import exp, parse_one
    from sqlglot.lineage import lineage
    from sqlglot.optimizer import build_scope
    from sqlglot.optimizer.qualify import qualify

    query = qualify(parse_one(text, dialect="duckdb"), dialect="duckdb", schema=schema, validate_qualify_columns=False)
    assert isinstance(query, exp.Query)
    scope = build_scope(query)
    names = query.named_selects
    return {name: tuple(sorted(_leaves(lineage(name, query, schema, scope=scope, dialect="duckdb")))) for name in names}


def _leaves(root: "Node") -> Set[Column]:
    from sqlglot import exp

    leaves = [node for node in root.walk() if not node.downstream and isinstance(node.expression, exp.Table)]
    return {(_relation(node.expression), node.name.rpartition(".")[2].strip('"')) for node in leaves}


def _relation(table: Any) -> str:
    return table.name if table.db == "main" else f"{table.db}.{table.name}"


def _sqlglot_schema(columns: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for relation, types in columns.items():
        schema, _, table = relation.rpartition(".")
        nested.setdefault("features", {}).setdefault(schema or "main", {})[table] = dict(types)
    return nested
