"""Requests scored together: each gets its own bundle's scores, and no neighbour's failure."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml_assets.serving.http.batcher import Batcher, Overloaded
from ml_assets.serving.plain.duckdb_features import DuckDbFeatures, FeatureQuery, UncomputableRow
from ml_assets.serving.release.bundle import Bundle, load
from tests.support.serving_store import FEATURES, SQL, Release, payload, requests, train

FRAME = requests(40, seed=5)
ROWS = payload(FRAME)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Bundle, Release]]:
    home = tmp_path_factory.mktemp("bundles")
    releases = [train(home / name, name=name, seed=seed) for seed, name in enumerate(("r1", "r2"))]
    return [(load(home / release.name), release) for release in releases]


def together(calls: Sequence[tuple[Bundle, Sequence[Any]]], *, batch_rows: int = 1000) -> tuple[list[Any], int]:
    """The outcomes of requests that arrive at once, and the number of batches."""

    async def run() -> tuple[list[Any], int]:
        batcher = Batcher(batch_rows=batch_rows, most_waiting_rows=100)
        waiting = [batcher.score(bundle, bundle.requests.convert(rows)) for bundle, rows in calls]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert batcher.waiting_rows == 0
        return outcomes, batcher.batches

    return asyncio.run(run())


async def one_each_turn(bundle: Bundle) -> tuple[list[float], int]:
    """The scores of six rows, of which each turn of the event loop brings one, and the number of batches."""
    batcher = Batcher(batch_rows=1000, most_waiting_rows=100)
    tasks = []
    for row in ROWS[:6]:
        tasks.append(asyncio.create_task(batcher.score(bundle, bundle.requests.convert([row]))))
        await asyncio.sleep(0)
    return [score for task in tasks for score in await task], batcher.batches


def test_waiting_requests_are_scored_in_one_call_in_order(served: list[tuple[Bundle, Release]]) -> None:
    bundle, release = served[0]
    outcomes, batches = together([(bundle, ROWS[:1]), (bundle, ROWS[1:7]), (bundle, ROWS[7:])])
    assert [score for scores in outcomes for score in scores] == release.scores(FRAME)
    assert [len(scores) for scores in outcomes] == [1, 6, 33]
    assert batches == 1


def test_what_comes_in_turn_after_turn_is_scored_in_one_call_until_a_turn_brings_nothing(
    served: list[tuple[Bundle, Release]],
) -> None:
    assert asyncio.run(one_each_turn(served[0][0])) == (served[0][1].scores(FRAME)[:6], 1)


def test_a_batch_that_grows_and_grows_is_scored_when_its_time_is_over(
    served: list[tuple[Bundle, Release]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_assets.serving.http.batcher.GATHER_SECONDS", 0.0)
    assert asyncio.run(one_each_turn(served[0][0])) == (served[0][1].scores(FRAME)[:6], 6)


def test_a_batch_has_a_limit_and_a_large_request_is_not_split(served: list[tuple[Bundle, Release]]) -> None:
    bundle, release = served[0]
    outcomes, batches = together([(bundle, ROWS[:30]), (bundle, ROWS[30:35]), (bundle, ROWS[35:])], batch_rows=10)
    assert [score for scores in outcomes for score in scores] == release.scores(FRAME)
    assert batches == 2


def test_each_request_is_scored_by_the_bundle_that_decoded_it(served: list[tuple[Bundle, Release]]) -> None:
    calls = [(served[number % 2][0], [row]) for number, row in enumerate(ROWS)]
    offline = [release.scores(FRAME) for _, release in served]
    outcomes, _ = together(calls)
    assert [scores.tolist() for scores in outcomes] == [[offline[number % 2][number]] for number in range(len(ROWS))]


def test_an_uncomputable_request_fails_alone(served: list[tuple[Bundle, Release]], tmp_path: Path) -> None:
    bundle, release = served[0]
    bounded = replace(bundle, engines=replace(bundle.engines, features=sql_that_fails_from_256(bundle, tmp_path)))
    outcomes, batches = together([(bounded, ROWS[:5]), (bounded, [{**ROWS[5], "wind_speed": 256.0}]), (bounded, ROWS[6:])])
    assert [*outcomes[0], *outcomes[2]] == release.scores(FRAME)[:5] + release.scores(FRAME)[6:]
    assert isinstance(outcomes[1], UncomputableRow)
    assert batches == 1


def sql_that_fails_from_256(bundle: Bundle, folder: Path) -> DuckDbFeatures:
    train(folder / "again", name=bundle.release, seed=0)
    query = FeatureQuery(
        sql=SQL.replace("r.distance,", "r.distance + 0 * coalesce(cast(r.wind_speed as utinyint), 0) as distance,"),
        relation=bundle.card.requests_relation,
        fields=bundle.requests.fields,
        key=bundle.card.key,
        features=FEATURES,
        lookups={path.stem: path.read_bytes() for path in (folder / "again" / "lookups").iterdir()},
    )
    return DuckDbFeatures(query)


def test_too_many_waiting_rows_are_refused_at_once(served: list[tuple[Bundle, Release]]) -> None:
    bundle, release = served[0]
    outcomes, _ = together([(bundle, ROWS), (bundle, ROWS), (bundle, ROWS), (bundle, ROWS[:20])])
    assert isinstance(outcomes[2], Overloaded)
    assert outcomes[0].tolist() == outcomes[1].tolist() == release.scores(FRAME)
    assert outcomes[3].tolist() == release.scores(FRAME)[:20]
