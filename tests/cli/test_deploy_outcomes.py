"""`ml-assets deploy` by its exit codes and words, against a stand-in for a webserver: what is hard to bring a real one to."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ml_assets.cli import cli
from ml_assets.services.deployment import deploy
from tests.support.command_line import free_port
from tests.support.dagster_double import location, webserver_double
from tests.support.repository import team

TOKEN = "not-to-be-seen"
OTHER = "b" * 40
RUN = "5a1ce000-0000-4000-8000-000000000000"
REQUEST = {
    "runKey": "2013-02:key",
    "tags": [{"key": "dagster/partition", "value": "2013-02"}, {"key": "ml-assets/stale", "value": "flights 2013-02: 7 stale"}],
}
LAUNCHES = {
    "sensorDryRun": {"evaluationResult": {"error": None, "skipReason": None, "runRequests": [REQUEST]}},
    "launchRun": {"__typename": "LaunchRunSuccess", "run": {"id": RUN}},
}


@dataclass(frozen=True)
class Ended:
    code: int
    error: str
    progress: str
    products: list[dict[str, Any]]


@dataclass(frozen=True)
class Checkout:
    """A git checkout that the command is run in."""

    commit: str

    def deploy(self, url: str, *options: str) -> Ended:
        done = CliRunner().invoke(cli, ["deploy", "--url", url, "--json", "--timeout", "0.5", *options])
        assert TOKEN not in done.output
        answer = json.loads(done.stdout) if done.stdout else {"error": "", "products": []}
        return Ended(done.exit_code, answer["error"], done.stderr, answer["products"])

    def with_answers(self, *options: str, **answers: Any) -> Ended:
        with webserver_double(self.commit, answers) as (url, _):
            return self.deploy(url, *options)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.setenv("ML_ASSETS_DAGSTER_TOKEN", TOKEN)
    monkeypatch.setattr(deploy, "POLL_SECONDS", 0.05)
    repository = team(tmp_path)
    monkeypatch.chdir(repository.root)
    return Checkout(repository.git("rev-parse", "HEAD").strip())


def test_what_gives_no_answer_or_refuses_ends_with_3(checkout: Checkout) -> None:
    nothing = checkout.deploy(f"http://127.0.0.1:{free_port()}")
    assert (nothing.code, nothing.error.count("refused")) == (3, 1), nothing
    assert "waits: http://127.0.0.1" in nothing.progress
    forbidden = checkout.with_answers(workspaceOrError=403)
    assert (forbidden.code, forbidden.error.partition("; ")[2]) == (
        3,
        "set ML_ASSETS_DAGSTER_TOKEN to a token that may launch runs",
    )
    moved = checkout.with_answers(workspaceOrError=302)
    assert moved.code == 3
    assert "it redirects to http://elsewhere.invalid/" in moved.error
    assert "it has ml_assets" in checkout.with_answers("--location", "ml_asets").error
    assert "is not an address of a webserver" in checkout.deploy("dagster:3000").error
    assert "not as a Dagster webserver does" in checkout.with_answers(workspaceOrError="<html>Welcome</html>").error


@pytest.mark.long
def test_a_location_behind_is_named_with_both_commits(checkout: Checkout) -> None:
    for entry, words in (
        (location(OTHER), f"location ml_assets reports {OTHER}, not {checkout.commit}"),
        (location(checkout.commit, is_dirty=True), f"location ml_assets runs commit {checkout.commit} with uncommitted changes"),
        (location("") | {"locationOrLoadError": None, "loadStatus": "LOADING"}, "location ml_assets is loading"),
    ):
        ended = checkout.with_answers(workspaceOrError={"locationEntries": [entry]})
        assert (ended.code, words in ended.error) == (3, True), ended
        assert f"waits: {words}" in ended.progress
    others = {"locationEntries": [location(checkout.commit, name="ours"), location(OTHER, name="theirs")]}
    assert "location theirs reports" in checkout.with_answers(workspaceOrError=others).error
    assert checkout.with_answers("--location", "ours", workspaceOrError=others).code == 0
    assert "no location with a product" in checkout.with_answers(workspaceOrError={"locationEntries": []}).error


@pytest.mark.parametrize(
    ("shown", "state", "message"),
    [
        ({"evaluation": {"verdict": "ACCEPT"}, "endpoint/production": {"decision": "promoted; it serves"}}, "promoted", ""),
        ({"evaluation": {"verdict": "REJECT; floor: disproven"}}, "rejected", "REJECT; floor: disproven"),
        ({"evaluation": {"verdict": "INCONCLUSIVE; floor: not proven"}}, "withheld", "INCONCLUSIVE; floor: not proven"),
        ({"evaluation": {"verdict": "ACCEPT"}, "endpoint/production": {"decision": "kept: waits for approval"}}, "withheld", ""),
        ({}, "done", "no candidate yet"),
    ],
)
def test_what_a_run_decided_is_told_in_the_words_of_the_gates(checkout: Checkout, shown: Any, state: str, message: str) -> None:
    materializations = [
        {"assetKey": {"path": ["flights", *stage.split("/")]}, "metadataEntries": [{"label": k, "text": v} for k, v in m.items()]}
        for stage, m in shown.items()
    ]
    ended = checkout.with_answers(**LAUNCHES, runOrError={"status": "SUCCESS", "assetMaterializations": materializations})
    (product,) = ended.products
    assert (ended.code, product["state"], product["run"], product["partition"]) == (0, state, RUN, "2013-02")
    assert message in product["message"]
    assert f"flights 2013-02: {state}: " in ended.progress


def test_a_failed_run_ends_with_1_and_its_steps_and_checks_by_name(checkout: Checkout) -> None:
    blocked = {"message": "dagster.AssetCheckFailedError: no", "className": "", "cause": None}
    broken = {"message": "outer", "className": "", "cause": {"message": "CatBoostError: no\n", "className": "CatBoostError"}}
    check = {
        "checkName": "schema",
        "success": False,
        "severity": "ERROR",
        "description": "two rows",
        "assetKey": {"path": ["a", "b"]},
    }
    events = [
        {"__typename": "AssetCheckEvaluationEvent", "evaluation": check},
        {"__typename": "AssetCheckEvaluationEvent", "evaluation": check | {"severity": "WARN"}},
        {"__typename": "ExecutionStepFailureEvent", "stepKey": "a__b", "error": blocked},
        {"__typename": "ExecutionStepFailureEvent", "stepKey": "a__model", "error": broken},
        {"__typename": "RunFailureEvent", "message": "2 steps failed", "error": None},
    ]
    log = {"cursor": "", "hasMore": False, "events": events}
    ended = checkout.with_answers(**LAUNCHES, runOrError={"status": "FAILURE", "assetMaterializations": []}, logsForRun=log)
    (product,) = ended.products
    assert (ended.code, product["state"]) == (1, "failed")
    assert product["page"].endswith(f"/runs/{RUN}")
    assert product["page"] in product["message"]
    named = [(failure["step"], failure["error"]) for failure in product["failures"]]
    assert named == [("a/b:schema", "two rows"), ("a__model", "CatBoostError: no")]
    assert "  a__model: CatBoostError: no\n" in ended.progress


def test_a_sensor_that_cannot_say_what_is_stale_fails_the_product(checkout: Checkout) -> None:
    ended = checkout.with_answers(sensorDryRun={"evaluationResult": {"error": {"message": "CodeChanged: reload"}}})
    assert (ended.code, ended.products[0]["state"]) == (1, "failed")
    assert "flights_stale cannot say what is stale: CodeChanged: reload" in ended.products[0]["message"]
