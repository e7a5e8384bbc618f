"""dbt on DuckDB, in this process: builds a product's relations for one partition, and tests stored ones.

Every call works in a private folder that is deleted afterwards; only the parsed project is kept, in `cache`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.core.duckdb_session import parquet
from ml_assets.spec.product import Product
from resources.dbt.description import described_project
from resources.dbt.project import DbtProject, DbtProjectError, scratch, test_names
from resources.dbt.runner import DbtFailed, DbtOutcome, invoke, private_database, raise_if_failed

if TYPE_CHECKING:
    import duckdb
    import polars as pl

__all__ = ["Built", "Dbt", "DbtColumn", "DbtFailed", "DbtProjectError", "TestResult", "test_names"]

Partition = tuple[str, datetime, datetime]


@dataclass(frozen=True, kw_only=True)
class Built:
    """The relations of one partition. Rows are in no promised order."""

    requests: "pl.DataFrame"
    labels: "pl.DataFrame"
    features: "pl.DataFrame"
    lookups: Mapping[str, "pl.DataFrame"]
    features_sql: str


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """The result of one data test: `failures` counts the rows that break it, None if it could not be run."""

    __test__ = False

    name: str
    passed: bool
    failures: int | None
    message: str
    sql: str


@dataclass(frozen=True, kw_only=True)
class DbtColumn:
    """A column of the features relation, as dbt and DuckDB describe it."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class Dbt:
    """Runs the dbt project of a product. `cache` is a folder that several processes may share."""

    cache: Path

    def build(self, product: Product, *, sources: Mapping[str, Sequence[Path]], partition: Partition) -> Built:
        """Run the models over the Parquet files of each source ("dataset.flights", "reference.planes")."""
        _refuse_missing(product, sources, partition[0])
        project = described_project(product, self.cache)
        with scratch(self.cache) as folder, private_database(Path(folder)) as database:
            _create_sources(database.connection, sources, partition)
            outcome = invoke("run", project, database)
            raise_if_failed(outcome, product=product.name)
            return _read(database.connection, product.name, outcome, project)

    def test(self, product: Product, relations: Mapping[str, Path]) -> tuple[TestResult, ...]:
        """Run the data tests alone, over the given Parquet file of each relation. One that did not run has failed."""
        names = test_names(product)
        project = described_project(product, self.cache)
        with scratch(self.cache) as folder, private_database(Path(folder)) as database:
            for name, path in relations.items():
                _create_view(database.connection, f'main."{name}"', [path])
            outcome = invoke("test", project, database)
        return tuple(_result(name, outcome) for name in names)

    def test_names(self, product: Product) -> tuple[str, ...]:
        """Return the names of the data tests of a product."""
        return test_names(product)

    def columns(self, product: Product) -> tuple[DbtColumn, ...]:
        """The columns of the features relation. Needs no data."""
        return tuple(DbtColumn(**column) for column in described_project(product, self.cache).description()["columns"])

    def column_lineage(self, product: Product) -> dict[str, tuple[tuple[str, str], ...]]:
        """For each column of the features relation the columns that it comes from, as (source, "table.column")."""
        lineage = described_project(product, self.cache).description()["lineage"]
        return {name: tuple((source, column) for source, column in origins) for name, origins in lineage.items()}


def _refuse_missing(product: Product, sources: Mapping[str, Sequence[Path]], key: str) -> None:
    given = {name for name, paths in sources.items() if paths}
    if missing := sorted({f"dataset.{table}" for table in product.delivery.tables} - given):
        message = f"{product.name}: no file for {', '.join(missing)} in {key}"
        raise DbtFailed(f"{message}; materialize the dataset of {key} first")


def _create_sources(connection: "duckdb.DuckDBPyConnection", sources: Mapping[str, Sequence[Path]], partition: Partition) -> None:
    connection.execute("CREATE SCHEMA dataset; CREATE SCHEMA reference")
    for name, paths in sources.items():
        schema, _, table = name.partition(".")
        _create_view(connection, f'"{schema}"."{table}"', paths)
    key, start, end = partition
    connection.execute("CREATE TABLE dataset.partition (key VARCHAR, starts_at TIMESTAMP, ends_at TIMESTAMP)")
    connection.execute("INSERT INTO dataset.partition VALUES (?, ?, ?)", [key, start, end])


def _create_view(connection: "duckdb.DuckDBPyConnection", name: str, paths: Sequence[Path]) -> None:
    connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {parquet(paths)}")


def _read(connection: "duckdb.DuckDBPyConnection", product: str, outcome: DbtOutcome, project: DbtProject) -> Built:
    def frame(relation: str) -> "pl.DataFrame":
        rows: pl.DataFrame = connection.sql(f'SELECT * FROM main."{relation}"').pl()
        return rows

    return Built(
        requests=frame(f"{product}_requests"),
        labels=frame(f"{product}_labels"),
        features=frame(f"{product}_features"),
        lookups={name: frame(name) for name in project.description()["lookups"]},
        features_sql=outcome.nodes[f"{product}_features"].sql,
    )


def _result(name: str, outcome: DbtOutcome) -> TestResult:
    node = outcome.nodes.get(name)
    if node is None:
        why = outcome.error or "dbt reported no result"
        return TestResult(name=name, passed=False, failures=None, message=f"{name} did not run: {why}", sql="")
    passed = node.status == "pass"
    message = node.message or ("no row breaks it" if passed else f"dbt says {node.status}")
    return TestResult(name=name, passed=passed, failures=node.failures, message=message, sql=node.sql)
