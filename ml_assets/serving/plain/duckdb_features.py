"""A product's features.sql on an in-memory DuckDB: the SQL that made the training rows makes the served ones.

Rows live only inside a transaction that is rolled back, so no request leaves a trace or slows a later one.
One instance is used by one thread at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ml_assets.core.release.feature_database import SQL_TYPES, FeatureSqlRefused, arrow_type, as_feature, connect, only_select
from ml_assets.errors import MlAssetsError
from ml_assets.serving.plain.feature_values import FeatureValues, Row
from ml_assets.serving.requests.field import Field

if TYPE_CHECKING:
    import pyarrow as pa


class UncomputableRow(MlAssetsError):
    """A request whose features cannot be computed: some value overflows or cannot be converted."""


@dataclass(frozen=True)
class FeatureQuery:
    """A release's features.sql, with what it reads and gives.

    `relation` is the table of requests, with `fields` as columns; `lookups` has Parquet by relation. The result has the columns
    of `key`, of which those that aren't fields are row numbers, and the `features` in order.
    """

    sql: str
    relation: str
    fields: Sequence[Field]
    key: Sequence[str]
    features: Sequence[Mapping[str, str]]
    lookups: Mapping[str, bytes]

    @property
    def columns(self) -> dict[str, str]:
        """The type of each field, by name."""
        return {field.name: field.type for field in self.fields}


class DuckDbFeatures:
    """Computes the feature values of request rows, in the order of the rows."""

    engine: Literal["duckdb"] = "duckdb"
    left_to_duckdb = 0
    """Rows that another engine left to this one: there is none."""

    def __init__(self, query: FeatureQuery) -> None:
        """Connect to DuckDB with the lookups of the query, and create its relations."""
        columns = query.columns
        self.features = tuple(query.features)
        self._key = tuple(query.key)
        self._fields = tuple(columns)
        self._row_numbers = tuple(name for name in query.key if name not in columns)
        self._types = dict.fromkeys(self._row_numbers, "string") | columns
        self._relation = f'features.main."{query.relation}"'
        self._connection = connect(query.lookups)
        self._create(query.sql)

    def compute(self, rows: Sequence[Row]) -> FeatureValues:
        """Feature values of request rows (their fields in order), in the order of the rows. Raises UncomputableRow."""
        return FeatureValues.of_rows(self.compute_rows(rows), self.features)

    def compute_rows(self, rows: Sequence[Row]) -> list[Row]:
        """The same as plain rows. Equal rows are computed once; rows that share a key never meet in one query."""
        import duckdb

        computed: dict[Row, Row] = {}
        try:
            for group in self._groups(rows):
                computed.update(zip(group, self._query(group), strict=True))
        except duckdb.DataError as error:
            raise UncomputableRow(f"the features cannot be computed: {str(error).splitlines()[0]}") from error
        return [computed[row] for row in rows]

    def _groups(self, rows: Sequence[Row]) -> list[list[Row]]:
        distinct = list(dict.fromkeys(rows))
        if self._row_numbers:
            return [distinct]
        groups: list[dict[Row, Row]] = []
        positions = [self._fields.index(name) for name in self._key]
        seen: dict[Row, int] = {}
        for row in distinct:
            identity = tuple(row[position] for position in positions)
            turn = seen[identity] = seen.get(identity, -1) + 1
            if turn == len(groups):
                groups.append({})
            groups[turn][identity] = row
        return [list(group.values()) for group in groups]

    def _query(self, rows: list[Row]) -> list[Row]:
        own_keys = len(self._row_numbers)
        stored = [(f"{number:08d}",) * own_keys + row for number, row in enumerate(rows)] if own_keys else rows
        self._connection.execute("BEGIN")
        try:
            self._insert(stored)
            computed = self._connection.execute("EXECUTE features").fetchall()
        finally:
            self._connection.execute("ROLLBACK")
        by_key = {row[: len(self._key)]: row[len(self._key) :] for row in computed}
        positions = [list(self._types).index(name) for name in self._key]
        wanted = [tuple(row[position] for position in positions) for row in stored]
        if len(computed) != len(rows) or any(identity not in by_key for identity in wanted):
            raise FeatureSqlRefused(f"features.sql gave {len(computed)} rows for {len(rows)} requests, by {self._key}")
        return [by_key[identity] for identity in wanted]

    def _insert(self, rows: list[Row]) -> None:
        # Measured: bound values are the fastest way in for one row, an Arrow table from about four rows on.
        if len(rows) == 1:
            self._connection.execute(self._insert_one, rows[0])
            return
        self._connection.register("arriving", self._arrow(rows))
        self._connection.execute(self._insert_many)

    def _arrow(self, rows: list[Row]) -> "pa.Table":
        import pyarrow as pa

        columns = zip(*rows, strict=True)
        arrays = [pa.array(column, type=kind) for column, kind in zip(columns, self._arrow_types, strict=True)]
        return pa.Table.from_arrays(arrays, names=list(self._types))

    def _create(self, sql: str) -> None:
        import duckdb

        columns = ", ".join(f'"{name}" {SQL_TYPES[kind]}' for name, kind in self._types.items())
        self._arrow_types = [arrow_type(kind) for kind in self._types.values()]
        self._insert_one = f"INSERT INTO {self._relation} VALUES ({', '.join('?' * len(self._types))})"
        self._insert_many = f"INSERT INTO {self._relation} SELECT * FROM arriving"
        wanted = [f'"{name}"' for name in self._key] + [as_feature(feature) for feature in self.features]
        try:
            self._connection.execute(f"CREATE TABLE {self._relation} ({columns})")
            query = only_select(self._connection, sql)
            self._connection.execute(f"PREPARE features AS SELECT {', '.join(wanted)} FROM ({query}\n) AS computed")
        except duckdb.Error as error:
            raise FeatureSqlRefused(f"features.sql: {error}") from error
