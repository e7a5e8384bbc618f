"""The description of a dbt project: parsed once and run once, over empty sources that the contract types."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core.contract.schema import polars_schema
from ml_assets.spec.product import Product
from resources.dbt.column_lineage import Column, trace
from resources.dbt.project import (
    DESCRIPTION,
    DbtProject,
    DbtProjectError,
    copy_project,
    project_digest,
    publish,
    scratch,
    test_names,
)
from resources.dbt.runner import CATALOG, DbtOutcome, invoke, parse, private_database, raise_if_failed, read_manifest

if TYPE_CHECKING:
    import duckdb

Types = dict[str, dict[str, str]]
_PARTITION = "dataset.partition"  # made by the path: no asset has it


def described_project(product: Product, cache: Path) -> DbtProject:
    """The product's parsed project, from the cache if nothing that it was made of has changed."""
    project = DbtProject(cache / f"{product.name}-{project_digest(product)[:32]}")
    if not project.folder.is_dir():
        with scratch(cache) as folder:
            parsed = DbtProject(Path(folder) / "made")
            _make(product, parsed, Path(folder))
            publish(parsed.folder, project.folder)
    return project


def _make(product: Product, project: DbtProject, folder: Path) -> None:
    copy_project(product, project.path)
    project.manifest.write_bytes(parse(project.path, folder))
    with private_database(folder / "empty") as database:
        _create_empty_sources(product, database.connection)
        outcome = invoke("run", project, database)
        raise_if_failed(outcome, product=product.name)
        description = _describe(product, project, outcome, _column_types(database.connection))
    (project.folder / DESCRIPTION).write_text(json.dumps(description, indent=1))


def _create_empty_sources(product: Product, connection: "duckdb.DuckDBPyConnection") -> None:
    import polars as pl

    connection.execute("CREATE SCHEMA dataset; CREATE SCHEMA reference")
    connection.execute("CREATE TABLE dataset.partition (key VARCHAR, starts_at TIMESTAMP, ends_at TIMESTAMP)")
    for table in product.tables:
        schema = "reference" if table in product.delivery.reference else "dataset"
        connection.register("empty", pl.DataFrame(schema=polars_schema(product.contract.TABLES[table])))
        connection.execute(f'CREATE TABLE "{schema}"."{table}" AS SELECT * FROM empty')
        connection.unregister("empty")


def _column_types(connection: "duckdb.DuckDBPyConnection") -> Types:
    columns = "table_schema, table_name, column_name, data_type"
    where = f"table_catalog = '{CATALOG}' ORDER BY ordinal_position"
    rows = connection.execute(f"SELECT {columns} FROM information_schema.columns WHERE {where}").fetchall()
    types: Types = {}
    for schema, table, column, kind in rows:
        types.setdefault(table if schema == "main" else f"{schema}.{table}", {})[column] = kind
    return types


def _describe(product: Product, project: DbtProject, outcome: DbtOutcome, types: Types) -> dict[str, Any]:
    """The features relation's columns, their lineage, and the lookups: the models that it reads, without the requests."""
    features = f"{product.name}_features"
    manifest = _nodes(project)
    about = {name: column.description for name, column in manifest[features].columns.items()}
    lineage = trace(model=features, sql={name: node.sql for name, node in outcome.nodes.items()}, columns=types)
    reads = {node.rpartition(".")[2] for node in manifest[features].depends_on.nodes}
    tests = {name for name, node in manifest.items() if node.resource_type == "test"}
    _refuse_unless(product, reads=reads, tests=tests, types=types)
    return {
        "columns": [{"name": n, "type": t, "description": about.get(n, "")} for n, t in types[features].items()],
        "lineage": {column: _asset_columns(origins) for column, origins in lineage.items()},
        "lookups": sorted(reads - {f"{product.name}_requests"}),
    }


def _nodes(project: DbtProject) -> dict[str, Any]:
    return {node.name: node for node in read_manifest(project).nodes.values()}


def _refuse_unless(product: Product, *, reads: set[str], tests: set[str], types: Types) -> None:
    name = product.name
    if missing := sorted({f"{name}_{part}" for part in ("requests", "labels", "features")} - types.keys()):
        raise DbtProjectError(f"{name}: the dbt model {', '.join(missing)} is missing")
    if sources := sorted(reads - types.keys()):
        allowed = f"it may read {name}_requests and lookup models only"
        raise DbtProjectError(f"{name}_features reads {', '.join(sources)}; {allowed}")
    if odd := sorted(tests ^ set(test_names(product))):
        raise DbtProjectError(f"{name}: dbt and schema.yml do not agree on the data tests {', '.join(odd)}")


def _asset_columns(origins: Iterable[Column]) -> list[Column]:
    """("dataset.flights", "origin") as ("dataset", "flights.origin"): the asset, and the column in its table."""
    split = [(*relation.split("."), column) for relation, column in origins if relation != _PARTITION]
    return [(asset, f"{table}.{column}") for asset, table, column in split]
