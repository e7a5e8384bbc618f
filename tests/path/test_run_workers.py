"""A run that no worker takes is ended, and launched again once there is a worker. The rest of what workers do is in
test_two_machines.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.dagster_instance import open_instance
from tests.support.cluster import Cluster, cluster
from tests.support.command_line import delivery
from tests.support.machine_pair import until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
SECONDS = 300


@pytest.fixture
def machines(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory, tmp_path) as running:
        yield running


def test_a_run_that_no_worker_takes_is_launched_again_when_there_is_one(machines: Cluster) -> None:
    machines.a.up("daemon")
    machines.deliver(delivery("2013-01-04"), "2013-01-04")
    until(lambda: statuses(machines)[-1:] == ["FAILURE"], SECONDS, "its end")
    machines.b.up("worker")
    until(lambda: machines.move().body.as_of == "2013-01-04", SECONDS, "a promotion")


def statuses(machines: Cluster) -> list[str]:
    """How the runs ended, the newest first."""
    with open_instance(machines.a.space.settings) as instance:
        return [run.status.value for run in instance.get_runs()]
