"""Outcomes in a table of their own: no feature or score goes stale through a label, complete partitions train, what served is
held against what came."""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml_assets.core.lineage.facts import OutcomesFacts, RealisedFacts
from ml_assets.services.planning.plan import make_plan
from ml_assets.services.watching.served_traffic import served_verdict
from ml_assets.services.watching.verdicts import settled
from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.serving.http.api_keys import new_key
from ml_assets.serving.log.reader import find_requests
from tests.support.browser import eventually
from tests.support.homes.apart import apart, deliver_orders, deliver_returns, orders, returns
from tests.support.homes.path_homes import Home, Run, blank_pages
from tests.support.homes.shop import DAYS

FIRST, SECOND, THIRD, _ = DAYS


def ran(home: Home, *days: str, only: tuple[str, ...] = ()) -> list[Run]:
    with blank_pages():
        return [home.run(day, only=only) for day in days]


def stale(home: Home) -> set[tuple[str, str]]:
    items = make_plan(home.space.lineage, home.space.landing, home.product, cache=home.space.settings.cache)
    return {(item.stage, item.partition) for item in items if item.stage not in ("report", "tracking")}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two days with their outcomes, of which the second's candidate serves; the third is served, and nothing is known of it."""
    home = apart(tmp_path_factory.mktemp("served"))
    deliver_orders(home, FIRST, SECOND, THIRD)
    for day in (FIRST, SECOND):
        deliver_returns(home, day)
    runs = ran(home, FIRST, SECOND, THIRD)
    assert all(run.success for run in runs), [run.errors for run in runs]
    return home


def test_outcomes_of_a_table_of_their_own_train_test_and_release_a_model(served: Home) -> None:
    model = served.get("model", SECOND)
    assert {given.asset for given in model.recipe.inputs} == {"shop/outcomes"}
    assert served.serving() == served.get("release", SECOND).facts["release"]
    assert served.current("model", THIRD) is None, "nothing is known of the third day"
    assert served.get("features", SECOND).facts["labelled"] == 0


def test_partitions_that_a_promoted_release_was_trained_on_count_as_usual(served: Home) -> None:
    assert settled(served.space.lineage, served.product, before=SECOND) == set()
    assert settled(served.space.lineage, served.product, before=THIRD) == {FIRST}, "by the outcomes of its features"


def test_until_outcomes_come_there_is_an_estimate_that_says_so(served: Home) -> None:
    (line,) = RealisedFacts.of(served.get("realised", THIRD)).lines
    assert (line.source, line.rows, line.known, line.metrics) == ("batch", 40, 0, None)
    assert "50 are needed to calibrate" in line.note, "forty test rows calibrate nothing"


def test_outcomes_that_come_make_no_feature_score_or_drift_stale(served: Home, tmp_path: Path) -> None:
    home = served.copy(tmp_path)
    watched = {stage: home.get(stage, THIRD).id for stage in ("features", "predictions", "monitoring")}
    deliver_returns(home, THIRD, returns(THIRD, only=range(25)))
    assert stale(home) >= {("outcomes", THIRD), ("realised", THIRD)}
    assert {stage for stage, _ in stale(home)} <= {"outcomes", "realised", "model", "evaluation"}, "a candidate may come of it"
    (run,) = ran(home, THIRD, only=("outcomes", "realised"))
    assert run.success, run.errors
    assert {stage: home.get(stage, THIRD).id for stage in watched} == watched
    (line,) = RealisedFacts.of(home.get("realised", THIRD)).lines
    assert (line.rows, line.known) == (40, 25)
    assert line.metrics is not None
    assert line.metrics["roc_auc"].value == pytest.approx(auc(home, 25))
    assert run.checks == {"served_metric_holds": True, "served_value_holds": True}
    facts = OutcomesFacts.of(home.get("outcomes", THIRD))
    assert facts.delay_days == pytest.approx(28.5, abs=1)
    deliver_returns(home, THIRD, returns(THIRD, only=range(20, 40), after="2024-04-20"))
    ran(home, THIRD, only=("outcomes", "realised"))
    assert OutcomesFacts.of(home.get("outcomes", THIRD)).known == 40, "files add up; what two of them have is there once"
    assert ("model", THIRD) in stale(home), "now it may be tested on"


def auc(home: Home, known: int) -> float:
    """By all pairs of a yes and a no."""
    scores = home.space.snapshots.frame(home.get("predictions", THIRD).snapshot, "predictions.parquet")
    ids = scores["request"].str.json_path_match("$.id").to_list()
    by_id = dict(zip(ids, scores["score"].to_list(), strict=True))
    outcomes = {row["id"]: row["came_back"] for row in returns(THIRD, only=range(known))}
    yes, no = ([by_id[id] for id, was in outcomes.items() if was == wanted] for wanted in (1, 0))
    return sum((a > b) + (a == b) / 2 for a in yes for b in no) / (len(yes) * len(no))


@pytest.mark.long
def test_outcomes_that_are_posted_are_held_against_what_the_endpoint_answered(served: Home, tmp_path: Path) -> None:
    home = served.copy(tmp_path)
    key, line = new_key("outcomes")
    other, more = new_key("predict")
    environ = {**os.environ, "ML_ASSETS_HOME": str(home.folder), "ML_ASSETS_PRODUCTS": str(home.declared.parent)}
    serve = [sys.executable, "-m", "ml_assets", "serve", "shop"]
    with ServerProcess(serve, environ={**environ, "ML_ASSETS_KEYS": f"{line} {more}"}) as server:
        answered = posted(server.base_url, "/predict", {"rows": orders(THIRD)}, key)[1]["predictions"]
        truth = [row["came_back"] for row in returns(THIRD)]
        rows: list[dict[str, Any]] = [{"prediction": answered[n]["id"], "came_back": truth[n]} for n in range(20)]
        rows.append({"id": f"{THIRD}-20", "placed_at": f"{THIRD}T20:20:00", "came_back": 5})
        rows.append({"prediction": "nobody", "came_back": 1})
        rows.append({"came_back": 1})
        assert posted(server.base_url, "/outcomes", {"outcomes": rows}, other)[0] == 403
        log = home.space.settings.predictions("shop")
        ids = [answer["id"] for answer in answered]
        eventually(lambda: len(find_requests(log, ids)) == 40, what="the log of the predictions")
        status, refusals = posted(server.base_url, "/outcomes", {"outcomes": rows}, key)
        again = posted(server.base_url, "/outcomes", {"outcomes": rows[:20]}, key)
    assert (status, refusals["taken"], len(refusals["files"])) == (422, 20, 1)
    assert [answer["path"] for answer in refusals["detail"]] == ["outcomes[20]", "outcomes[21]", "outcomes[22]"]
    assert "came_back.isin (came_back: 5)" in refusals["detail"][0]["message"]
    assert "no prediction with this id" in refusals["detail"][1]["message"]
    assert again[0] == 200, "the same again, known at another time, is the same outcome"
    skew = served_verdict(home.space.lineage, home.product, home.space.settings, THIRD)
    assert skew is not None
    assert skew.sentence.startswith("UNCALIBRATED: 3 past partitions"), "its features were computed, and there is little past"
    (run,) = ran(home, THIRD, only=("outcomes", "realised"))
    assert run.success, run.errors
    by_source = {line.source: line for line in RealisedFacts.of(home.get("realised", THIRD)).lines}
    assert {source: (line.rows, line.known) for source, line in by_source.items()} == {"batch": (40, 20), "endpoint": (40, 20)}
    assert by_source["batch"].metrics == by_source["endpoint"].metrics, "the same scores, the same outcomes"


def posted(url: str, path: str, body: dict[str, Any], key: str) -> tuple[int, Any]:
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Authorization": f"Bearer {key}"}, method="POST")
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.long
def test_features_that_are_built_again_bring_their_outcomes_along(served: Home, tmp_path: Path) -> None:
    home = served.copy(tmp_path)
    deliver_returns(home, THIRD)
    text = (home.declared / "dbt" / "shop_features.sql").read_text()
    (home.declared / "dbt" / "shop_features.sql").write_text(text.replace("items,", "items + 0 as items,"))
    (run,) = ran(home, THIRD)
    assert run.success, run.errors
    assert {("features", FIRST), ("outcomes", FIRST), ("features", SECOND), ("outcomes", SECOND)} <= set(run.rebuilt)
    model = home.get("model", THIRD)
    assert [given.partition for given in model.recipe.inputs] == [FIRST, SECOND]
    assert not {(stage, day) for stage, day in stale(home) if day == THIRD}


def test_what_is_refused_of_outcomes_is_told_row_by_row(served: Home, tmp_path: Path) -> None:
    home = served.copy(tmp_path)
    table = returns(THIRD, only=range(30))
    table[0]["came_back"] = 7
    table[1]["id"] = "nobody"
    table += [{**table[2], "came_back": 1 - table[2]["came_back"]}]
    deliver_returns(home, THIRD, table)
    (run,) = ran(home, THIRD, only=("outcomes", "realised"))
    assert run.success, run.errors
    recorded = home.get("outcomes", THIRD)
    assert OutcomesFacts.of(recorded).refused == {"came_back.isin": 1, "unique_key.conflict": 2, "unknown_key": 1}
    refused = home.space.snapshots.frame(recorded.snapshot, "refused.parquet")
    assert refused.filter(pl.col("reason") == "unknown_key")["id"].to_list() == ["nobody"]


def test_a_partition_whose_outcomes_are_not_complete_neither_trains_nor_tests(tmp_path: Path) -> None:
    home = apart(tmp_path, ("matures: 30d", "matures: 99999d"))
    deliver_orders(home, FIRST, SECOND)
    for day in (FIRST, SECOND):
        deliver_returns(home, day)
    _, second = ran(home, FIRST, SECOND)
    assert second.success, second.errors
    assert second.outcome is not None
    assert "came_back of 2024-03-02 is complete at 2297" in second.outcome.reason
    assert home.current("model", SECOND) is None
    assert not stale(home), "nothing is to be done until then"
