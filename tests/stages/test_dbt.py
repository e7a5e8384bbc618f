"""dbt in this process: what it builds, how it fails, and that it leaves nothing behind."""

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from ml_assets.spec.product import load
from resources.dbt.build import Built, Dbt, DbtFailed, DbtProjectError, test_names
from resources.dbt.project import copy_project, project_digest
from resources.dbt.runner import private_database
from tests.support.homes.flights_days import PARTITION, flights, own_copy, tables, write_sources

Sources = dict[str, list[Path]]


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    return Dbt(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return write_sources(tables(), tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def built(dbt: Dbt, sources: Sources) -> Built:
    return dbt.build(flights(), sources=sources, partition=PARTITION)


def _stored(built: Built, folder: Path) -> dict[str, Path]:
    frames = {"requests": built.requests, "labels": built.labels, "features": built.features}
    relations = {f"flights_{name}": frame for name, frame in frames.items()} | dict(built.lookups)
    for name, frame in relations.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return {name: folder / f"{name}.parquet" for name in relations}


def test_a_build_gives_the_relations_and_the_lookups_that_features_read(built: Built) -> None:
    assert built.lookups.keys() == {"flights_late_rates", "flights_planes"}
    assert '"features"."main"."flights_requests"' in built.features_sql
    assert built.features.height == built.requests.height > 0


def test_a_second_build_is_equal_and_keeps_only_the_parsed_project(dbt: Dbt, built: Built, sources: Sources) -> None:
    again = dbt.build(flights(), sources=sources, partition=PARTITION)
    assert again.features.sort("flight_id").equals(built.features.sort("flight_id"))
    assert again.features_sql == built.features_sql
    assert [folder.name.split("-")[0] for folder in dbt.cache.iterdir()] == ["flights"]


def test_dbt_leaves_logging_and_open_files_as_they_were(dbt: Dbt, built: Built, sources: Sources) -> None:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    files = len(list(Path("/proc/self/fd").iterdir()))
    dbt.build(flights(), sources=sources, partition=PARTITION)
    assert (logging.getLogger().handlers, logging.getLogger().level) == (handlers, level)
    assert len(list(Path("/proc/self/fd").iterdir())) <= files


@pytest.mark.long
def test_dbt_prints_nothing_and_installs_no_root_handler(tmp_path: Path) -> None:
    code = (
        "import logging\nfrom pathlib import Path\n"
        "from resources.dbt.build import Dbt\nfrom tests.support.homes.flights_days import flights\n"
        f"Dbt(Path({str(tmp_path)!r})).columns(flights())\nassert logging.getLogger().handlers == []"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_data_test_passes_on_stored_relations(dbt: Dbt, built: Built, tmp_path: Path) -> None:
    results = dbt.test(flights(), _stored(built, tmp_path))
    assert [result.name for result in results] == list(test_names(flights()))
    assert {result.name: result.message for result in results if not result.passed} == {}


def test_a_data_test_that_fails_is_reported_failed_by_its_name(dbt: Dbt, built: Built, tmp_path: Path) -> None:
    relations = _stored(built, tmp_path)
    late = built.lookups["flights_late_rates"].with_columns(last_day=pl.col("day"), carrier_late_rate=pl.lit(1.5))
    late.write_parquet(relations["flights_late_rates"])
    pl.concat([built.labels, built.labels.head(3)]).write_parquet(relations["flights_labels"])
    failed = {result.name: result for result in dbt.test(flights(), relations) if not result.passed}
    assert failed.keys() == {"late_rates_end_before_the_day", "carrier_late_rate_is_a_share", "labels_are_unique"}
    assert failed["labels_are_unique"].failures == 3
    assert "flights_labels" in failed["labels_are_unique"].sql


def test_a_data_test_that_cannot_run_has_failed(dbt: Dbt, built: Built, tmp_path: Path) -> None:
    relations = _stored(built, tmp_path)
    del relations["flights_planes"]
    failed = [result for result in dbt.test(flights(), relations) if not result.passed]
    assert [(result.name, result.failures) for result in failed] == [("planes_are_unique", None)]
    assert "flights_planes" in failed[0].message


def test_a_data_test_without_a_name_is_refused(tmp_path: Path) -> None:
    schema = "models: [{name: flights_planes, columns: [{name: tailnum, data_tests: [unique]}]}]"
    with pytest.raises(DbtProjectError, match=r"flights_planes\.tailnum: the data test unique has no `name:`"):
        test_names(own_copy(tmp_path, {"schema.yml": schema}))


def test_names_of_data_tests_are_read_without_dbt() -> None:
    code = (
        "import sys\nfrom tests.support.homes.flights_days import flights\nfrom resources.dbt.build import test_names\n"
        "assert test_names(flights())\nassert not {'dbt', 'duckdb', 'dagster', 'sqlglot'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.long
def test_a_model_that_fails_on_the_data_is_named_with_its_error_and_file(dbt: Dbt, sources: Sources, tmp_path: Path) -> None:
    product = own_copy(tmp_path, {"flights_planes.sql": _planes("cast(manufacturer as integer)")})
    with pytest.raises(DbtFailed, match="flights_planes") as failure:
        dbt.build(product, sources=sources, partition=PARTITION)
    message = str(failure.value)
    assert "Conversion Error" in message
    assert "target/compiled/ml_assets/models/flights/flights_planes.sql" in message


@pytest.mark.long
def test_a_product_may_keep_its_models_in_its_own_folder(dbt: Dbt, built: Built, sources: Sources, tmp_path: Path) -> None:
    product = own_copy(tmp_path, {"flights_planes.sql": _planes("'one maker'")})
    other = dbt.build(product, sources=sources, partition=PARTITION)
    assert set(other.lookups["flights_planes"]["manufacturer"]) == {"one maker"}
    assert other.labels.sort("flight_id").equals(built.labels.sort("flight_id"))


def test_dbt_gets_the_files_as_they_were_when_the_product_was_loaded(tmp_path: Path) -> None:
    product = own_copy(tmp_path / "products", {})
    digest, names = project_digest(product), test_names(product)
    for name in ("flights_features.sql", "schema.yml", "../contract.py"):
        (product.folder / "dbt" / name).write_text("# no longer what was loaded")
    copy_project(product, tmp_path / "project")
    assert (project_digest(product), test_names(product)) == (digest, names)
    assert (tmp_path / "project/models/flights/flights_features.sql").read_bytes() == product.files.dbt["flights_features.sql"]
    assert project_digest(load(product.folder)) != digest


@pytest.mark.long
def test_features_that_read_a_source_are_refused(dbt: Dbt, tmp_path: Path) -> None:
    product = own_copy(tmp_path, {"flights_features.sql": "select * from {{ source('dataset', 'flights') }}"})
    with pytest.raises(DbtProjectError, match="may read flights_requests and lookup models only"):
        dbt.columns(product)


def test_a_dataset_that_was_not_handed_over_is_named(dbt: Dbt, sources: Sources) -> None:
    with pytest.raises(DbtFailed, match=r"no file for dataset\.weather in 2013-01"):
        dbt.build(flights(), sources={**sources, "dataset.weather": []}, partition=PARTITION)


def test_columns_are_those_of_the_contract_with_type_and_description(dbt: Dbt) -> None:
    columns = dbt.columns(flights())
    assert [column.name for column in columns] == list(flights().contract.Features.to_schema().columns)
    assert all(column.type and column.description for column in columns)


def _planes(manufacturer: str) -> str:
    source = "{{ source('reference', 'planes') }}"
    return f"select tailnum, year as plane_year, type as plane_type, {manufacturer} as manufacturer, seats from {source}"


def test_builds_at_once_in_threads_get_their_own_relations(dbt: Dbt, built: Built, tmp_path: Path) -> None:
    shorter = {name: table.head(table.height // 2) if name == "flights" else table for name, table in tables().items()}
    (tmp_path / "shorter").mkdir()
    halves = write_sources(shorter, tmp_path / "shorter")
    wholes = write_sources(tables(), tmp_path)
    with ThreadPoolExecutor(4) as pool:
        builds = list(pool.map(lambda each: dbt.build(flights(), sources=each, partition=PARTITION), [wholes, halves] * 2))
    heights = [each.requests.height for each in builds]
    assert heights[0] == heights[2] == built.requests.height > heights[1] == heights[3] > 0


def test_rows_beyond_the_memory_wait_in_the_private_folder(tmp_path: Path) -> None:
    with private_database(tmp_path) as database:
        database.connection.execute("SET memory_limit = '40MB'")
        database.connection.execute(
            "CREATE TABLE main.large AS SELECT hash(range) AS one, hash(-range) AS two FROM range(8_000_000)"
        )
        assert list((tmp_path / "spilled").iterdir())
        assert database.connection.execute("SELECT count(DISTINCT one % 1000) FROM main.large").fetchall() == [(1000,)]
    assert not (tmp_path / "spilled").exists()
