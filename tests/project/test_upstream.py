"""What the project leans on in Dagster, MLflow, dbt and uvicorn, one test each: an upgrade that changes it is seen here."""

import uuid
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._check import CheckError

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
MONTHS = dg.MonthlyPartitionsDefinition(start_date="2013-01", end_date="2013-04", fmt="%Y-%m")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as definitions:
        yield definitions


def upstream_with_check(*, passed: bool, blocking: bool, severity: dg.AssetCheckSeverity) -> list[Any]:
    """An asset with one check, and an asset downstream of it."""

    @dg.asset
    def features() -> None: ...

    @dg.asset_check(asset=features, blocking=blocking)
    def holds() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passed, severity=severity)

    @dg.asset(deps=[features])
    def model() -> None: ...

    return [features, holds, model]


def run(definitions: Sequence[Any], instance: dg.DagsterInstance, *, assets: Sequence[str] = (), **more: Any) -> Any:
    selection = dg.AssetSelection.assets(*assets) if assets else dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks()
    checks = [measured_metric for measured_metric in definitions if isinstance(measured_metric, dg.AssetChecksDefinition)]
    others = [measured_metric for measured_metric in definitions if not isinstance(measured_metric, dg.AssetChecksDefinition)]
    job = dg.define_asset_job("job", selection=selection)
    definitions_now = dg.Definitions(assets=others, asset_checks=checks, jobs=[job], executor=dg.in_process_executor)
    definition = definitions_now.resolve_job_def("job")
    return definition.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET, **more)


def materialized(result: Any) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}


def test_a_failed_blocking_check_stops_what_is_downstream_in_the_same_run(instance: dg.DagsterInstance) -> None:
    definitions = upstream_with_check(passed=False, blocking=True, severity=dg.AssetCheckSeverity.ERROR)
    result = run(definitions, instance)
    assert not result.success
    assert materialized(result) == {"features"}


def test_a_later_run_forgets_the_failed_blocking_check(instance: dg.DagsterInstance) -> None:
    """Why the stages ask the ledger: the check is the picture, not the lock."""
    definitions = upstream_with_check(passed=False, blocking=True, severity=dg.AssetCheckSeverity.ERROR)
    run(definitions, instance)
    later = run(definitions, instance, assets=["model"])
    assert later.success
    assert materialized(later) == {"model"}


def test_a_blocking_check_that_fails_with_severity_warn_blocks_nothing(instance: dg.DagsterInstance) -> None:
    result = run(upstream_with_check(passed=False, blocking=True, severity=dg.AssetCheckSeverity.WARN), instance)
    assert result.success
    assert materialized(result) == {"features", "model"}


def test_a_failed_check_of_severity_error_that_does_not_block_leaves_the_run_green(instance: dg.DagsterInstance) -> None:
    """Why `ml-assets check` has an exit code of its own."""
    result = run(upstream_with_check(passed=False, blocking=False, severity=dg.AssetCheckSeverity.ERROR), instance)
    assert result.success
    assert [measured_metric.passed for measured_metric in result.get_asset_check_evaluations()] == [False]


def partitioned_check() -> list[Any]:
    """A monthly asset with a monthly check in a step of its own, as checks/ makes them."""

    @dg.asset(partitions_def=MONTHS)
    def features() -> None: ...

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        spec = dg.AssetCheckSpec("holds", asset="features", blocking=True, partitions_def=MONTHS)

    @dg.multi_asset_check(specs=[spec])
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        yield dg.AssetCheckResult(passed=True, asset_key="features", metadata={"month": context.run.tags["dagster/partition"]})

    return [features, checks]


def test_a_check_with_partitions_is_evaluated_for_the_run_s_partition(instance: dg.DagsterInstance) -> None:
    result = run(partitioned_check(), instance, partition_key="2013-02")
    assert result.success
    assert [measured_metric.partition for measured_metric in result.get_asset_check_evaluations()] == ["2013-02"]


def test_a_job_of_checks_alone_takes_its_partition_by_tag_only(instance: dg.DagsterInstance) -> None:
    features, checks = partitioned_check()
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.checks_for_assets(features))
    definitions = dg.Definitions(assets=[features], asset_checks=[checks], jobs=[job], executor=dg.in_process_executor)
    definition = definitions.resolve_job_def("checks")
    result = definition.execute_in_process(instance=instance, run_config=QUIET, tags={"dagster/partition": "2013-03"})
    assert [measured_metric.metadata["month"].value for measured_metric in result.get_asset_check_evaluations()] == ["2013-03"]
    with pytest.raises(CheckError, match="no PartitionsDefinition"):
        definition.execute_in_process(instance=instance, run_config=QUIET, partition_key="2013-03")


def test_a_skipped_output_skips_what_is_downstream_and_its_checks_in_a_green_run(instance: dg.DagsterInstance) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("model", skippable=True)])
    def model() -> Iterator[dg.MaterializeResult[Any]]:
        yield from ()

    @dg.multi_asset_check(specs=[dg.AssetCheckSpec("holds", asset="model")])
    def checks() -> Iterator[dg.AssetCheckResult]:
        yield dg.AssetCheckResult(passed=False, asset_key="model")

    @dg.asset(deps=["model"])
    def evaluation() -> None: ...

    result = run([model, checks, evaluation], instance)
    assert result.success
    assert materialized(result) == set()
    assert not [
        measured_metric
        for measured_metric in result.all_events
        if measured_metric.event_type_value == "STEP_SUCCESS" and measured_metric.step_key == "evaluation"
    ]


def test_a_listener_of_the_instance_hears_the_steps_of_a_run_in_this_process(instance: dg.DagsterInstance) -> None:
    """What the progress line of the commands and the benchmarks are told by."""
    heard: list[str] = []
    run_id = str(uuid.uuid4())
    instance.add_event_listener(run_id, lambda entry: heard.append(entry.dagster_event.event_type_value))
    run(upstream_with_check(passed=True, blocking=True, severity=dg.AssetCheckSeverity.ERROR), instance, run_id=run_id)
    assert {"STEP_START", "ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION", "STEP_SUCCESS"} <= set(heard)


def test_a_dependency_on_an_asset_that_is_not_there_loads() -> None:
    """Why the graph test lists every edge."""

    @dg.asset(deps=["typo"])
    def model() -> None: ...

    graph = dg.Definitions(assets=[model]).resolve_asset_graph()
    assert dg.AssetKey("typo") in graph.get_all_asset_keys()
    assert dg.AssetKey("typo") not in graph.executable_asset_keys


def test_a_window_reads_the_partitions_that_are_there(instance: dg.DagsterInstance) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        mapping = dg.TimeWindowPartitionMapping(start_offset=-6, end_offset=-1, allow_nonexistent_upstream_partitions=True)
    context: dict[str, Any] = {"upstream_partitions_def": MONTHS, "downstream_partitions_def": MONTHS}
    subset = MONTHS.subset_with_partition_keys(["2013-03"])
    result = mapping.get_upstream_mapped_partitions_result_for_partitions(subset, **context)
    assert sorted(result.partitions_subset.get_partition_keys()) == ["2013-01", "2013-02"]


def test_mlflow_on_sqlite_takes_a_curve_in_one_call_and_moves_an_alias(tmp_path: Path) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(url, url)
    experiment = client.create_experiment("flights", artifact_location=(tmp_path / "artifacts").as_uri())
    definitions = client.create_run(experiment).info
    client.log_batch(definitions.run_id, metrics=[Metric("loss", 1.0 / (step + 1), 0, step) for step in range(3)])
    assert [measured_metric.step for measured_metric in client.get_metric_history(definitions.run_id, "loss")] == [0, 1, 2]
    client.create_registered_model("flights")
    for version in ("1", "2"):
        client.create_model_version("flights", f"{definitions.artifact_uri}/release", definitions.run_id)
        client.set_registered_model_alias("flights", "production", version)
    assert str(client.get_model_version_by_alias("flights", "production").version) == "2"
    assert {n: str(v) for n, v in client.get_registered_model("flights").aliases.items()} == {"production": "2"}


@pytest.mark.long
def test_dbt_takes_a_manifest_instead_of_parsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbt.parser.manifest import ManifestLoader

    from ml_assets.spec.product import load
    from resources.dbt.description import described_project
    from resources.dbt.runner import invoke, private_database

    product = load(Path(__file__).parents[1] / "products" / "temperature")
    project = described_project(product, tmp_path / "cache")
    monkeypatch.setattr(ManifestLoader, "load", lambda _: pytest.fail("dbt parsed the project"))
    (tmp_path / "run").mkdir()
    with private_database(tmp_path / "run") as database:
        outcome = invoke("run", project, database)
    assert outcome.nodes, outcome.error


def test_uvicorn_answers_what_it_accepted_before_it_stops(tmp_path: Path) -> None:
    """What a swap of the server's process without a dropped request leans on."""
    import subprocess
    import sys
    import threading
    import urllib.request

    from ml_assets.serving.client.server_process import ServerProcess

    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    answers: list[bytes] = []
    with ServerProcess([sys.executable, str(script)]) as server:
        thread = threading.Thread(target=lambda: answers.append(urllib.request.urlopen(f"{server.base_url}/slow").read()))
        thread.start()
        subprocess.run(["sleep", "0.3"], check=True)
        server.process.terminate()
        thread.join(10)
        assert server.process.wait(10) in (0, -15)
    assert answers == [b'"done"']


SLOW = """
import asyncio, sys
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from ml_assets.serving.http.listen_address import ListenAddress
from ml_assets.serving.http.server import run

async def ready(_):
    return JSONResponse({})

async def slow(_):
    await asyncio.sleep(1)
    return JSONResponse("done")

app = Starlette(routes=[Route("/readyz", ready), Route("/slow", slow)])
run(app, ListenAddress("127.0.0.1", 0, Path(sys.argv[4])), drain_seconds=0.1)
"""


def test_the_list_of_catboosts_parameters_is_that_of_the_installed_version() -> None:
    import ml_assets.spec.model.catboost_parameters as written
    from tests.support.catboost_parameters import module

    assert Path(written.__file__).read_text(encoding="utf-8") == module()
