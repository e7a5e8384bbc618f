"""A product whose endpoint refuses unknown categories: an airport delivers its first weather when nobody was trained on it."""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ml_assets.cli.audit.reproduce import reproduce
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.stages import LEAVES
from ml_assets.core.release.bundle import as_requests
from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.spec.product import load
from tests.path.test_temperature import SMALL
from tests.support.homes.path_homes import Home, home
from tests.support.homes.weather_days import TEMPERATURE, days
from tests.support.plans import planned
from tests.support.serving_store import get, post

pytestmark = pytest.mark.long
DAYS = tuple(days())[:5]
RELEASED, NEXT = DAYS[3], DAYS[4]
FEATURES = ["raw", "dataset", "quarantine", "features"]
KNOWN, NEW = ["JFK", "LGA"], "EWR"
"""The first of the requests, in the order of their keys, is the one of the new airport."""
ANY_ORIGIN = (r"day_begins_at: datetime\n    origin: str = pa\.Field\(isin=ORIGINS\)", "day_begins_at: datetime\n    origin: str")
LAST_KNOWN = 2
"""Two days are trained on without the new airport."""


@cache
def _taken(folder: Path) -> Home:
    own_home = home(folder / "unknown", load(TEMPERATURE))
    own_home.edit("product.yaml", *SMALL)
    own_home.edit("contract.py", ANY_ORIGIN, (r'"min_rows": 48', '"min_rows": 40'))
    for number, day in enumerate(DAYS):
        own_home.deliver(day, {"weather": delivered(day, without=NEW if number < LAST_KNOWN else "nobody")})
        only = {RELEASED: [], NEXT: [*FEATURES, "predictions"]}.get(day, FEATURES)
        assert own_home.run(day, only=only).success
    return own_home


def delivered(day: str, *, without: str) -> bytes:
    lines = days()[day].splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(without.encode() + b","))


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return _taken(tmp_path_factory.getbasetemp())


def member(at: Home, release: Manifest, name: str) -> Any:
    return json.loads(at.space.snapshots.read(release.snapshot, name))


def requests_of(at: Home, day: str) -> list[dict[str, Any]]:
    return as_requests(at.product, at.space.snapshots.frame(at.get("features", day).snapshot, "requests.parquet"))


def test_a_release_knows_exactly_what_it_was_trained_on_and_is_tried_with_that(taken: Home) -> None:
    release = taken.get("release", RELEASED)
    assert [request["origin"] for request in requests_of(taken, RELEASED)] == [NEW, *KNOWN]
    known = {field["name"]: field.get("known") for field in member(taken, release, "request.json")}
    assert known == {"forecast_id": None, "day_begins_at": None, "origin": KNOWN}
    assert [request["origin"] for request in member(taken, release, "golden.json")["requests"]] == KNOWN
    smoke = taken.space.ledger.evidence(release.id)["answers_equal_offline"].body
    assert (smoke.passed, smoke.details.description) == (True, "2 answers over HTTP equal the offline scores")


def test_the_features_trained_on_are_inputs_of_a_release_that_knows_them_and_its_plan_is_empty(taken: Home) -> None:
    release, model = taken.get("release", RELEASED), taken.get("model", RELEASED)
    assert {(i.asset, i.partition) for i in model.recipe.inputs} < {(i.asset, i.partition) for i in release.recipe.inputs}
    assert taken.space.lineage.made_from(release)["features"].partition == RELEASED
    due = {item.stage for item in planned(taken.space, taken.product) if item.partition == RELEASED}
    assert due == set(LEAVES), "they were left out of the run"


def test_the_endpoint_refuses_the_new_airport_by_path_and_answers_for_the_others(taken: Home, tmp_path: Path) -> None:
    at, rows = taken.copy(tmp_path / "copy"), requests_of(taken, NEXT)
    argv = [sys.executable, "-m", "ml_assets", "serve", at.name]
    with ServerProcess(argv, environ=at.space.settings.environ()) as server:
        assert post(server.base_url, json.dumps({"rows": rows[1:]}).encode())[0] == 200
        status, answer = post(server.base_url, json.dumps({"rows": [*rows[1:], rows[0]]}).encode())
        assert (status, answer["detail"][0]["path"]) == (422, "rows[2].origin")
        assert answer["detail"][0]["allowed"] == {"type": "string", "nullable": False, "known": KNOWN}
        assert 'reason="unknown_category"} 1' in get(server.base_url, "/metrics")
        fields = json.loads(get(server.base_url, "/openapi.json"))["components"]["schemas"]["Request"]["properties"]
        assert fields["origin"] == {"enum": KNOWN}
    at.close()


def test_a_batch_is_scored_from_its_features_whatever_the_endpoint_would_refuse(taken: Home) -> None:
    predictions = taken.get("predictions", NEXT)
    assert predictions.facts["scored_by"] == taken.get("release", RELEASED).facts["release"]
    frame = taken.space.snapshots.frame(predictions.snapshot, "predictions.parquet")
    assert [json.loads(request)["origin"] for request in frame["request"]] == [NEW, *KNOWN]


def test_the_release_is_made_again_with_the_categories_it_knew(taken: Home) -> None:
    outcome = reproduce(taken.space, taken.get("release", RELEASED))
    assert outcome["equal"]
    assert outcome["predictions"]["golden"]["rows"] == len(KNOWN)


def test_without_the_policy_the_same_rows_make_another_release_that_takes_all(taken: Home, tmp_path: Path) -> None:
    at = taken.copy(tmp_path / "copy")
    before = at.get("release", RELEASED)
    at.edit("product.yaml", (r"origin: refuse", "origin: score"))
    assert at.run(RELEASED, only=["release"]).computed == {"release"}
    now = at.get("release", RELEASED)
    assert now.facts["release"] != before.facts["release"]
    assert all("known" not in field for field in member(at, now, "request.json"))
    assert [request["origin"] for request in member(at, now, "golden.json")["requests"]] == [NEW, *KNOWN]
    assert reproduce(at.space, before)["equal"]
    at.close()
