"""dagster-dbt's column lineage as an oracle for ours: it optimizes each query, one model at a time, after a dbt subprocess."""

import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import chdir
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from resources.dbt.build import Dbt
from resources.dbt.column_lineage import trace
from resources.dbt.description import described_project
from resources.dbt.project import DbtProject
from resources.dbt.runner import CATALOG, read_manifest
from tests.support.homes.flights_days import PARTITION, flights, tables, write_sources

FILE = f"{CATALOG}.duckdb"
Lineage = dict[str, set[str]]  # a column and the source columns behind it, as "dataset.flights.origin"


@pytest.mark.long
def test_column_lineage_is_that_of_dagster_dbt(tmp_path: Path) -> None:
    dbt = Dbt(tmp_path / "cache")
    _create_sources(tmp_path)
    theirs = _dagster_dbt(described_project(flights(), dbt.cache), tmp_path)
    assert _joined(dbt.column_lineage(flights())) == theirs["flights_features"]
    assert _traced(tmp_path) == theirs


def _create_sources(folder: Path) -> None:
    with duckdb.connect(str(folder / FILE)) as connection:
        connection.execute("CREATE SCHEMA dataset; CREATE SCHEMA reference")
        for name, (path,) in write_sources(tables(), folder).items():
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}')")
        connection.execute("CREATE TABLE dataset.partition (key VARCHAR, starts_at TIMESTAMP, ends_at TIMESTAMP)")
        connection.execute("INSERT INTO dataset.partition VALUES (?, ?, ?)", PARTITION)


def _write_profile(folder: Path) -> None:
    """dagster-dbt opens the `path` of a profile to read columns; the project's own attaches its file beside `:memory:`."""
    target = {"type": "duckdb", "path": str(folder / FILE), "schema": "main", "threads": 1}
    content = {"ml_assets": {"target": "scratch", "outputs": {"scratch": target}}}
    (folder / "profiles.yml").write_text(json.dumps(content))


def _dagster_dbt(project: DbtProject, folder: Path) -> dict[str, Lineage]:
    """Run every model; the lineage that each materialization carries, which ends at a model's parents, up to the sources."""
    from dagster_dbt import DbtCliResource
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    _write_profile(folder)
    dbt = DbtCliResource(project_dir=project.path, profiles_dir=folder, dbt_executable=Path(sys.prefix, "bin", "dbt"))
    manifest = read_manifest(project).writable_manifest().to_dict(omit_none=False)
    args = ["run", "--no-write-json", "--log-level-file", "none", "--vars", json.dumps({"duckdb": str(folder / FILE)})]
    with chdir(folder):  # dagster-dbt's threads change it, and do not always change it back
        run = dbt.cli(args, manifest=manifest, target_path=folder / "target")
        assert run.is_successful()  # waits here: the stream below would wait in a busy loop
        events = [event for event in run.stream().fetch_column_metadata() if isinstance(event, dg.AssetMaterialization)]
    run.adapter.cleanup_connections()
    DuckDBConnectionManager.close_all_connections()  # dagster-dbt leaves the file open in this process
    deps = {event.asset_key: event.metadata["dagster/column_lineage"].value.deps_by_column for event in events}

    def sources(asset: dg.AssetKey, column: str) -> set[str]:
        if asset not in deps:
            return {".".join([*asset.path, column])}
        return {source for dep in deps[asset][column] for source in sources(dep.asset_key, dep.column_name)}

    return {asset.path[-1]: {column: sources(asset, column) for column in deps[asset]} for asset in deps}


def _traced(folder: Path) -> dict[str, Lineage]:
    """Our lineage of every model that dbt compiled, not of the features alone."""
    sql = {path.stem: path.read_text() for path in (folder / "target" / "compiled").rglob("*.sql")}
    columns: dict[str, dict[str, str]] = {}
    with duckdb.connect(str(folder / FILE), read_only=True) as connection:
        query = "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
        for schema, table, column, kind in connection.execute(query).fetchall():
            columns.setdefault(table if schema == "main" else f"{schema}.{table}", {})[column] = kind
    return {model: _joined(trace(model=model, sql=sql, columns=columns)) for model in sql}


def _joined(lineage: Mapping[str, Iterable[tuple[str, str]]]) -> Lineage:
    return {column: {".".join(origin) for origin in origins} for column, origins in lineage.items()}
