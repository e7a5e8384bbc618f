"""An asset of another team announces files by its materialization, in the same Dagster: it launches the extraction, and the
delivery the data run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.definitions import build_defs
from resources.dagster_instance import open_instance
from resources.dagster_resources import resources_of
from tests.support.homes.path_homes import Home, blank_pages
from tests.support.homes.shop import DAYS, csv_bytes, rows, shop

pytestmark = pytest.mark.long
FIRST, SECOND = DAYS[:2]
UPSTREAM = dg.AssetKey(["team", "orders"])


@dataclass
class Team:
    """A code location of a team that has an asset of its own and the shop, and an instance of Dagster."""

    home: Home
    defs: dg.Definitions
    instance: dg.DagsterInstance

    def publish(self, partition: str) -> None:
        job = self.defs.resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(instance=self.instance, partition_key=partition, asset_selection=[UPSTREAM]).success

    def tick(self, sensor: str) -> list[dg.RunRequest]:
        repository = self.defs.get_repository_def()
        with dg.build_sensor_context(
            self.instance, resources=resources_of(self.home.space.settings), repository_def=repository
        ) as context:
            return [*(repository.get_sensor_def(sensor).evaluate_tick(context).run_requests or [])]

    def run(self, job: str, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        with blank_pages():
            return self.defs.resolve_job_def(job).execute_in_process(
                instance=self.instance,
                partition_key=request.partition_key,
                run_config=request.run_config,
                tags={key: value for key, value in request.tags.items() if not key.startswith("dagster/")},
                raise_on_error=False,
            )


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    yield from new_team(tmp_path, dg.DailyPartitionsDefinition("2024-02-20"))


def new_team(folder: Path, partitions: dg.PartitionsDefinition[Any]) -> Iterator[Team]:
    bucket = folder / "bucket"
    bucket.mkdir()

    @dg.asset(key=UPSTREAM, partitions_def=partitions)
    def orders(context: dg.AssetExecutionContext) -> None:
        count = len([*bucket.iterdir()])
        (bucket / f"{context.partition_key}.{count}").touch()
        (bucket / f"{context.partition_key}.csv").write_bytes(csv_bytes(rows(context.partition_key, seed=count)))

    uri = f"{bucket.as_uri()}/{{partition}}.csv"
    declared = f"sources: {{orders: {{asset: [team, orders], uri: '{uri}'}}}}\n\nfeatures: "
    home = shop(
        folder / "home",
        ("(?m)^features: ", declared),
        (r"(?m)\Z", "\nlanding: {settle: 0}\nretrain: {on: [schedule], cron: '0 6 * * 1'}\n"),
    )
    products = {"shop": home.product}
    defs = dg.Definitions.merge(dg.Definitions(assets=[orders]), build_defs(products, resources_of(home.space.settings)))
    with open_instance(home.space.settings) as instance:
        yield Team(home, defs, instance)
    home.close()


def test_a_materialization_upstream_launches_the_extraction_and_that_the_data_run(team: Team) -> None:
    assert team.tick("shop_sources") == []
    team.publish(FIRST)
    (run_request,) = team.tick("shop_sources")
    done = team.run("shop_extract", run_request)
    assert done.success
    assert team.tick("shop_sources") == [], "nothing new was materialized"
    (data,) = team.tick("shop_new_data")
    assert (data.partition_key, data.job_name or "shop_data") == (FIRST, "shop_data")
    run = team.run("shop_data", data)
    assert run.success, [event for event in run.all_events if event.is_failure]
    assert team.home.get("features", FIRST).recipe.partition == FIRST

    before = team.home.get("raw", FIRST).data_version
    team.publish(FIRST)
    (again,) = team.tick("shop_sources")
    assert team.run("shop_extract", again).success
    (data,) = team.tick("shop_new_data")
    assert team.run("shop_data", data).success
    assert team.home.get("raw", FIRST).data_version != before


def test_raw_comes_after_the_upstream_asset_in_the_graph(team: Team) -> None:
    graph = team.defs.resolve_asset_graph()
    assert graph.get(dg.AssetKey(["shop", "raw"])).parent_keys == {UPSTREAM}


def test_an_extraction_that_breaks_is_tried_again_after_a_wait_and_given_up(team: Team) -> None:
    team.publish(FIRST)
    (run_request,) = team.tick("shop_sources")
    bucket = Path(team.home.product.sources["orders"].uri.removeprefix("file://")).parent
    content = (bucket / f"{FIRST}.csv").read_bytes()
    (bucket / f"{FIRST}.csv").unlink()
    run = team.run("shop_extract", run_request)
    assert not run.success
    (failure,) = [event for event in run.all_events if event.is_step_failure]
    assert "there is no file at file://" in str(failure.step_failure_data.error)
    assert team.tick("shop_sources") == []
    (bucket / f"{FIRST}.csv").write_bytes(content)
    assert team.run("shop_extract", run_request).success


def test_an_upstream_asset_by_month_has_keys_of_its_own(tmp_path: Path) -> None:
    from ml_assets.core.lineage.partitions import Partitions
    from ml_assets.services.extraction.source_files import own_keys

    months = dg.MonthlyPartitionsDefinition("2024-01-01").get_partition_keys()[:3]
    assert own_keys(Partitions(every="month", start="2024-02"), dict.fromkeys(months)) == {
        "2024-02": "2024-02-01",
        "2024-03": "2024-03-01",
    }
    hours = dg.HourlyPartitionsDefinition("2024-01-01-00:00").get_partition_keys()[:2]
    assert own_keys(Partitions(every="hour", start="2024-01-01T01"), dict.fromkeys(hours)) == {
        "2024-01-01T01": "2024-01-01-01:00"
    }
    assert tmp_path
