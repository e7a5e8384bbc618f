"""A partition that still runs waits until it is over, in the sensor as on the command line; those that are over do not."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.core.lineage.partitions import utc_now
from ml_assets.definitions import build_defs
from ml_assets.errors import MlAssetsError
from resources.dagster_instance import open_instance
from resources.dagster_resources import resources_of
from tests.support.homes.path_homes import Home
from tests.support.homes.shop import csv_bytes, rows, shop

PAST = "2024-03-01"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """The shop without an end, with the files of a past day, of yesterday and of today."""
    own_home = shop(tmp_path, (", end: 2024-04-01", ""), (r"(?m)\Z", "\nlanding: {settle: 0}\n"))
    for day in (PAST, *recent()):
        file = own_home.space.landing.folder(own_home.product) / "orders" / f"{day}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(csv_bytes(rows(day)))
    yield own_home
    own_home.close()


def recent() -> tuple[str, str]:
    """Yesterday and today."""
    now = utc_now()
    return f"{now - timedelta(days=1):%Y-%m-%d}", f"{now:%Y-%m-%d}"


def test_of_a_past_day_yesterday_and_today_the_sensor_launches_the_two_that_are_over(home: Home) -> None:
    repository = build_defs({"shop": home.product}, resources_of(home.space.settings)).get_repository_def()
    yesterday, today = recent()
    with (
        open_instance(home.space.settings) as instance,
        dg.build_sensor_context(instance, repository_def=repository, resources=resources_of(home.space.settings)) as context,
    ):
        ticked = repository.get_sensor_def("shop_new_data").evaluate_tick(context)
    launched = [request.partition_key for request in ticked.run_requests or []]
    assert launched == [PAST, yesterday]
    assert today not in home.space.landing.delivered(home.product)


@pytest.mark.parametrize("command", [("run",), ("plan",), ("check",)])
def test_a_command_for_the_day_that_still_runs_says_when_it_is_over(home: Home, command: tuple[str, ...]) -> None:
    _, today = recent()
    done = CliRunner().invoke(cli, [*command, "shop", "--partition", today], env=home.space.settings.environ())
    assert isinstance(done.exception, MlAssetsError), (done.output, done.exception)
    assert today in str(done.exception)
    assert "is not finished yet: it ends at" in str(done.exception)
