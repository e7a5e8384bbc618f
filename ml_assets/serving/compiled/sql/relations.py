"""The value that a column name of features.sql means, through CTEs, projections and left joins to lookups."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ml_assets.serving.compiled.sql.expressions import Resolve, only, term
from ml_assets.serving.compiled.sql.lookups import Lookup
from ml_assets.serving.compiled.sql.numpy_code import Columns, NumpyCode, Term
from ml_assets.serving.compiled.unsupported import Unsupported


@dataclass(frozen=True)
class Tables:
    """The tables that a FROM clause can name: relations with one row per request, and lookups."""

    rows: Mapping[str, Columns]
    lookups: Mapping[str, Lookup]


def columns_of(query: Any, tables: Tables, code: NumpyCode) -> Columns:
    """Return the columns of a query that gives one row for each request. Raises Unsupported."""
    from sqlglot import exp

    if not isinstance(query, exp.Select):
        raise Unsupported(f"{query.key} instead of one SELECT")
    only(query, "expressions", "from_", "joins", "with_")
    tables = _with_ctes(query, tables, code)
    sources = _sources(query, tables, code)
    columns: dict[str, Callable[[], Term]] = {}
    for name, column in _projections(query, sources, code):
        if name in columns:
            raise Unsupported(f"two columns {name}")
        columns[name] = column
    return columns


def _with_ctes(query: Any, tables: Tables, code: NumpyCode) -> Tables:
    clause = query.args.get("with_")
    if clause is None:
        return tables
    only(clause, "expressions")
    for cte in clause.expressions:
        only(cte, "this", "alias")
        only(cte.args["alias"], "this")
        name = cte.alias.lower()
        try:
            columns = columns_of(cte.this, tables, code)
        except Unsupported as error:
            columns = _Refused(error)
        tables = Tables({**tables.rows, name: columns}, {k: v for k, v in tables.lookups.items() if k != name})
    return tables


class _Refused(dict[str, Callable[[], Term]]):
    """A CTE outside of the subset: an error only where something reads it."""

    def __init__(self, error: Unsupported) -> None:
        self.error = error


def _sources(query: Any, tables: Tables, code: NumpyCode) -> dict[str, Columns]:
    """The relations of FROM and its joins by alias, in order."""
    clause = query.args.get("from_")
    if clause is None:
        raise Unsupported("a SELECT without FROM")
    name, alias = _named(clause.this)
    if name not in tables.rows:
        raise Unsupported(f"FROM {name}: not the requests, nor made from them")
    sources = {alias: _readable(tables.rows[name])}
    for join in query.args.get("joins") or []:
        only(join, "this", "side", "on")
        name, alias = _named(join.this)
        if join.side != "LEFT" or name not in tables.lookups or alias in sources:
            raise Unsupported(f"{join.sql('duckdb')}: not a left join to a lookup")
        sources[alias] = _joined(join.args.get("on"), alias, tables.lookups[name], dict(sources), code)
    return sources


def _readable(columns: Columns) -> Columns:
    if isinstance(columns, _Refused):
        raise columns.error
    return columns


def _named(table: Any) -> tuple[str, str]:
    from sqlglot import exp

    if not isinstance(table, exp.Table):
        raise Unsupported(f"{table.key} in FROM")
    only(table, "this", "db", "catalog", "alias")
    if (table.catalog.lower(), table.db.lower()) not in {("features", "main"), ("", "")}:
        raise Unsupported(f"{table.sql('duckdb')}: another schema")
    if table.args.get("alias"):
        only(table.args["alias"], "this")
    return table.name.lower(), table.alias_or_name.lower()


def _joined(on: Any, alias: str, lookup: Lookup, left: Mapping[str, Columns], code: NumpyCode) -> Columns:
    """The lookup's columns in the row whose key equals the terms of the ON clause, or NULLs."""
    from sqlglot import exp

    resolve = _resolver(left)
    keys: dict[str, Any] = {}
    for part in on.flatten() if isinstance(on, exp.And) else [on]:
        if not isinstance(part, exp.EQ):
            raise Unsupported("a join by something else than equal columns")
        column, key = (part.this, part.expression) if _is_of(part.this, alias) else (part.expression, part.this)
        if not _is_of(column, alias) or column.name.lower() in keys:
            raise Unsupported("a join that does not name each column of the lookup once")
        keys[column.name.lower()] = key

    @cache
    def row() -> Columns:
        return lookup.row(code, {name: term(key, code, resolve) for name, key in keys.items()})

    return {name: lambda name=name: row()[name]() for name in lookup.columns}  # type: ignore[misc]


def _is_of(node: Any, alias: str) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Column) and node.table.lower() == alias and isinstance(node.this, exp.Identifier)


def _resolver(sources: Mapping[str, Columns]) -> Resolve:
    def resolve(name: str, table: str) -> Term:
        columns = [relation[name] for alias, relation in sources.items() if table in ("", alias) and name in relation]
        if len(columns) != 1:
            raise Unsupported(f"column {name} in {len(columns)} of the relations")
        return columns[0]()

    return resolve


def _projections(query: Any, sources: dict[str, Columns], code: NumpyCode) -> Iterator[tuple[str, Callable[[], Term]]]:
    from sqlglot import exp

    resolve = _resolver(sources)
    for item in query.expressions:
        if item.is_star:
            only(item, "this", "table")
            table = item.table.lower() if isinstance(item, exp.Column) else ""
            if isinstance(item, exp.Column):
                only(item.this)
            for alias, columns in sources.items():
                if table in ("", alias):
                    yield from columns.items()
        else:
            inner = item.this if isinstance(item, exp.Alias) else item
            yield item.alias_or_name.lower(), cache(lambda inner=inner: term(inner, code, resolve))
