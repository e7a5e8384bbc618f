"""The compiled path gives every request the scores and refusals of the plain path."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from tests.support.serving_store import CARRIERS, Release, Store, get, payload, post, requests, train

OVERFLOWS_FROM = 5001
"""A distance whose sixth power no BIGINT holds."""
SQL = f"""
select
    r.flight_id, r.scheduled_at, r.carrier, hour(r.scheduled_at) as hour, r.wind_speed, r.is_holiday, 2013 - p.year as plane_age,
    case when r.distance >= {OVERFLOWS_FROM} then {" * ".join(["r.distance"] * 6)} else r.distance end as distance,
    d.late / nullif(d.flights, 0) as late_rate, coalesce(substr(r.tailnum, 1, 1), 'unknown') as tail_kind
from "features"."main"."flights_requests" as r
left join "features"."main"."planes" as p on p.tailnum = r.tailnum
left join "features"."main"."carrier_days" as d on d.carrier = r.carrier and d.day = cast(r.scheduled_at as date)
"""


class Servers(NamedTuple):
    release: Release
    compiled: str
    plain: str

    def both(self, body: bytes) -> tuple[int, Any]:
        """The answer of both servers to a body, without the ids of predictions; they must be equal."""
        answers = [post(base_url, body) for base_url in (self.compiled, self.plain)]
        for _, content in answers:
            for prediction in content.get("predictions", ()):
                del prediction["id"]
        assert repr(answers[0]) == repr(answers[1])
        return answers[0]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """One release, served by both paths."""
    store = Store(tmp_path_factory.mktemp("home"))
    release = train(store.home / "r", name="r1", seed=1, sql=SQL)
    store.point("r1", store.add(store.home / "r"))
    off = {"ML_ASSETS_COMPILED": "false"}
    with ServerProcess(store.argv) as compiled, ServerProcess(store.argv, environ=off) as plain:
        yield Servers(release, compiled.base_url, plain.base_url)


def test_the_version_says_which_path_computes(servers: Servers) -> None:
    compiled, plain = client.release(servers.compiled), client.release(servers.plain)
    why = "ML_ASSETS_COMPILED is false"
    assert compiled["features"] == compiled["model"] == {"engine": "compiled", "why_not_compiled": None}
    assert plain["features"] == {"engine": "duckdb", "why_not_compiled": why}
    assert plain["model"] == {"engine": "catboost", "why_not_compiled": why}


@pytest.mark.parametrize("count", [1, 2, 300, 1000])
def test_both_paths_give_the_offline_scores(servers: Servers, count: int) -> None:
    frame = requests(count, seed=count)
    status, content = servers.both(json.dumps({"rows": payload(frame)}).encode())
    assert status == 200
    scores = [prediction["probability"] for prediction in content["predictions"]]
    assert scores == servers.release.scores(frame)
    assert count < 300 or len(set(scores)) > 10


def test_a_row_scores_alone_as_it_does_among_others(servers: Servers) -> None:
    rows = payload(requests(60, seed=7))
    _, together = servers.both(json.dumps({"rows": rows}).encode())
    alone = [servers.both(json.dumps(row).encode())[1]["predictions"][0] for row in rows]
    assert together["predictions"] == alone


GOOD = {
    "scheduled_at": (st.datetimes() | st.datetimes(dt.datetime(2012, 12, 25), dt.datetime(2013, 2, 5))).map(
        dt.datetime.isoformat
    ),
    "carrier": st.sampled_from(CARRIERS),
    "tailnum": st.none() | st.integers(0, 60).map("N{}".format) | st.text(max_size=3),
    "distance": st.integers(1, 6000) | st.sampled_from([1, OVERFLOWS_FROM - 1, OVERFLOWS_FROM, 6000]),
    "wind_speed": st.none() | st.floats(0, allow_infinity=False, allow_nan=False) | st.integers(0, 60),
    "is_holiday": st.booleans(),
}
"""Values within the contract: among them missing ones, categories and days that training never saw, and uncomputable rows."""
BAD = st.sampled_from([None, "ZZ", -1, 6001, 1.5, float("nan"), float("inf"), "2013-01-01T00:00:00Z", True, [], {}])
row = st.fixed_dictionaries(GOOD)
broken_row = st.fixed_dictionaries({name: values | BAD for name, values in GOOD.items()})
body = row | st.fixed_dictionaries({"rows": st.lists(row, min_size=1, max_size=20)}) | broken_row
body |= st.fixed_dictionaries({"rows": st.lists(row | broken_row, max_size=5)})


@settings(max_examples=100, deadline=None)
@given(body)
def test_any_request_gets_the_same_answer_from_both_paths(servers: Servers, body: dict[str, Any]) -> None:
    status, content = servers.both(json.dumps(body).encode())
    rows = body.get("rows", [body])
    assert status == 422 or len(content["predictions"]) == len(rows)


def test_the_requests_above_reach_what_they_are_meant_to(servers: Servers) -> None:
    good = payload(requests(1, seed=3))[0]
    unknown = {"tailnum": "ÿ", "wind_speed": None, "scheduled_at": "2199-12-31T23:59:59"}
    assert servers.both(json.dumps({**good, **unknown}).encode())[0] == 200
    assert servers.both(json.dumps({**good, "carrier": "ZZ"}).encode())[0] == 422
    status, refusal = servers.both(json.dumps({"rows": [good, {**good, "distance": OVERFLOWS_FROM}]}).encode())
    assert (status, refusal["detail"][0]["message"][:33]) == (422, "the features cannot be computed: ")
    left_to_duckdb = re.search(r"^ml_assets_rows_left_to_duckdb_total\S* (\S+)$", get(servers.compiled, "/metrics"), re.MULTILINE)
    assert left_to_duckdb
    assert float(left_to_duckdb[1]) > 0
