"""`ml-assets deploy` against a real webserver: it waits for the commit, and launches what became stale once."""

import json
from collections.abc import Iterator

import pytest

from ml_assets.services.stale_evaluations import stale_evaluations
from tests.support.command_line import Days, replace_in
from tests.support.deployment import Deployed, Deployment, deployment
from tests.support.homes.small_home import DAYS, small_home

pytestmark = pytest.mark.timeout(900)
SECOND, THIRD = DAYS[1:]


@pytest.fixture
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return small_home(tmp_path_factory, tmp_path_factory.mktemp("days"))


@pytest.fixture
def idle(days: Days) -> Iterator[Deployment]:
    """Without a daemon: what is launched stays queued."""
    with deployment(days, is_running=False) as deployed:
        yield deployed


@pytest.fixture
def running(days: Days) -> Iterator[Deployment]:
    with deployment(days, is_running=True) as deployed:
        yield deployed


@pytest.mark.long
def test_it_waits_for_the_commit_and_launches_what_became_stale_once(idle: Deployment) -> None:
    assert_there_is_nothing_to_do(idle, idle.deploy())
    before = idle.head
    idle.days.edit("iterations: 5", "iterations: 6")
    refused = idle.deploy()
    assert (refused.code, refused.answer) == (2, {})
    assert f"is commit {before} with uncommitted changes" in refused.progress
    idle.team.commit("More trees")
    waited = idle.deploy("--timeout", "3")
    assert waited.code == 3
    assert f"{before}, not {idle.head}" in waited.answer["error"]
    assert "location ml_assets reports " in waited.answer["error"]
    assert idle.runs() == []
    idle.reload()
    limited = [idle.deploy("--timeout", "5") for _ in range(2)]
    (run,) = idle.runs()
    assert run["status"] == "QUEUED"
    for limit in limited:
        assert limit.code == 3
        assert f"flights {THIRD}: run {run['id']} is queued: {idle.url}/runs/{run['id']}" in limit.answer["error"]
    assert "launched: " in limited[0].progress
    assert "goes on or succeeded before: " in limited[1].progress
    assert f"flights {THIRD}: " in limited[0].progress.splitlines()[1]
    assert "stale snapshots are rebuilt" in limited[0].progress.splitlines()[1]
    assert "model.iterations 5 -> 6" in limited[0].progress.splitlines()[1]

    passed = idle.deploy("--commit", before, "--timeout", "0")
    assert run["id"] in passed.answer["error"], "a location that contains the commit is enough for it"
    assert idle.deploy("--commit", "0" * 40).code == 2

    idle.days.edit("iterations: 6", "iterations: many")
    idle.team.commit("Not a number")
    idle.reload()
    failed = idle.deploy("--timeout", "1")
    assert failed.code == 3
    assert "location ml_assets leaves out what cannot run: " in failed.answer["error"]
    assert "model.iterations" in failed.answer["error"]


def assert_there_is_nothing_to_do(deployed: Deployment, done: Deployed) -> None:
    assert done.code == 0, done.progress
    assert (done.product["state"], done.product["run"]) == ("nothing to do", "")
    assert "neither its path nor what it reads is stale" in done.product["message"]
    assert done.answer["commit"] == deployed.head


@pytest.mark.long
def test_what_a_merge_made_stale_runs_in_the_deployment_and_nothing_else(running: Deployment) -> None:
    space, days = running.days.open(), running.days
    older = space.ledger.current("flights", "evaluation", SECOND)
    days.edit("iterations: 5", "iterations: 6")
    running.team.commit("More trees")
    running.reload()
    done = running.deploy()
    assert done.code == 0, done.progress
    (run,) = running.runs()
    assert (done.product["run"], done.product["partition"], done.product["is_new"]) == (run["id"], THIRD, True)
    assert done.product["state"] in ("promoted", "withheld", "rejected")
    assert done.product["message"].startswith(("ACCEPT", "REJECT", "INCONCLUSIVE"))
    assert set(stale_evaluations(space.lineage, days.flights)) == {SECOND}
    assert space.ledger.current("flights", "evaluation", SECOND) == older
    assert_there_is_nothing_to_do(running, running.deploy())
    assert running.runs() == [run]

    model = days.products / "flights" / "dbt" / "flights_features.sql"
    replace_in(model, {"    requests.flight_id,": "    requests.no_such_column,"})
    running.team.commit("A column that is not there")
    running.reload()
    failed = running.deploy()
    assert failed.code == 1, failed.progress
    (broken,) = [run_ for run_ in running.runs() if run_ != run]
    assert (failed.product["state"], failed.product["run"], failed.product["page"]) == (
        "failed",
        broken["id"],
        f"{running.url}/runs/{broken['id']}",
    )
    assert "no_such_column" in json.dumps(failed.product["failures"])
    assert failed.product["failures"][0]["step"] == "flights__features"
    assert broken["id"] in failed.progress
    space.ledger.close()
