"""The DuckDB that features.sql runs in: catalog `features`, the bundle's lookups as tables, no way to a file."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ml_assets.core.duckdb_session import pin_session
from ml_assets.errors import MlAssetsError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

SQL_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "timestamp": "TIMESTAMP",
    "boolean": "BOOLEAN",
}


class FeatureSqlRefused(MlAssetsError):
    """features.sql is not one SELECT over the request relation and the lookups, or gives other rows than asked."""


def connect(lookups: Mapping[str, bytes]) -> "duckdb.DuckDBPyConnection":
    """An in-memory DuckDB on one thread that holds the lookups ({name: Parquet bytes}) and can reach nothing outside."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    connection = duckdb.connect(":memory:", config=config)
    pin_session(connection)
    connection.execute("ATTACH ':memory:' AS features")
    connection.execute("USE features")
    for name, content in lookups.items():
        try:
            connection.register("arriving", pq.read_table(pa.BufferReader(content)))
        except pa.ArrowException as error:
            raise FeatureSqlRefused(f"lookups/{name}.parquet: {error}") from error
        connection.execute(f'CREATE TABLE features.main."{name}" AS SELECT * FROM arriving')
    for setting in (
        "enable_external_access = false",
        "python_enable_replacements = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def only_select(connection: "duckdb.DuckDBPyConnection", sql: str) -> str:
    """The statement without its final semicolon. Raises FeatureSqlRefused unless it is one SELECT."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        raise FeatureSqlRefused("features.sql: must be one SELECT statement")
    return sql.strip().rstrip(";")


def as_feature(feature: Mapping[str, str]) -> str:
    """The SQL expression that casts a column to its feature: text for a category, a double for a number."""
    kind = "VARCHAR" if feature["kind"] == "category" else "DOUBLE"
    return f'CAST("{feature["name"]}" AS {kind})'


def arrow_type(kind: str) -> "pa.DataType":
    """The Arrow type of a request field's kind. Any kind that isn't listed is a time, in microseconds."""
    import pyarrow as pa

    types = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    return types.get(kind, pa.timestamp("us"))
