"""A candidate in the shadow scores the requests that the champion serves, and no client notices."""

import datetime as dt
import math
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.serving.log import reader
from ml_assets.serving.log.record import Predictions, table
from ml_assets.serving.release.shadow import BATCH_ROWS, ShadowScorer
from tests.support.serving_store import Release, Store, get, payload, requests, train

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME = requests(60, seed=5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, dict[str, Release]]:
    """Two releases in a store."""
    store = Store(tmp_path_factory.mktemp("shadow") / "home")
    releases = {}
    for name, seed in (("2013-01.champion", 1), ("2013-02.candidate", 2)):
        folder = store.home.parent / name
        release = train(folder, name=name, seed=seed)
        releases[name.partition(".")[2]] = Release(name, store.add(folder), release.task, release.model)
    return store, releases


@pytest.fixture
def world(trained: tuple[Store, dict[str, Release]], tmp_path: Path) -> tuple[Store, Release, Release]:
    """A copy of the store in which the champion answers and the candidate is in its shadow."""
    store, releases = trained
    shutil.copytree(store.home, tmp_path / "home")
    champion, candidate = releases["champion"], releases["candidate"]
    copy = Store(tmp_path / "home")
    copy.point(champion.name, champion.digest, shadow=(candidate.name, candidate.digest))
    return copy, champion, candidate


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def counter(base_url: str, name: str) -> int:
    line = next(line for line in get(base_url, "/metrics").splitlines() if line.startswith(f"ml_assets_{name}_total{{"))
    return int(float(line.rpartition(" ")[2]))


@pytest.mark.long
def test_the_candidate_scores_each_answered_row_under_the_same_id_and_the_champion_answers(
    world: tuple[Store, Release, Release],
) -> None:
    store, champion, candidate = world
    with ServerProcess(store.argv) as server:
        answer = client.predict(server.base_url, payload(FRAME))
        assert answer["release"] == champion.name
        assert [prediction["probability"] for prediction in answer["predictions"]] == champion.scores(FRAME)
        assert client.release(server.base_url)["shadow"]["release"] == candidate.name
        eventually(lambda: counter(server.base_url, "shadow_rows_scored") == FRAME.height)
    logged = reader.read(store.shadow_log)
    scores = dict(zip(logged["id"], logged["score"], strict=True))
    assert set(logged["release"]) == {candidate.name}
    assert [scores[prediction["id"]] for prediction in answer["predictions"]] == candidate.scores(FRAME)
    assert candidate.scores(FRAME) != champion.scores(FRAME)


@pytest.mark.long
def test_a_damaged_candidate_is_told_and_the_champion_goes_on_and_a_reload_ends_a_shadow(
    world: tuple[Store, Release, Release],
) -> None:
    store, champion, candidate = world
    model = store.home / "bundles" / candidate.digest / "model.cbm"
    good = model.read_bytes()
    model.write_bytes(b"CBM1 damaged")
    with ServerProcess(store.argv) as server:
        assert "damaged" in client.release(server.base_url)["shadow_trouble"]
        assert client.predict(server.base_url, payload(FRAME))["release"] == champion.name
        model.write_bytes(good)
        assert client.reload(server.base_url)["shadow_trouble"] is None
        client.predict(server.base_url, payload(FRAME))
        eventually(lambda: counter(server.base_url, "shadow_rows_scored") == FRAME.height)
        store.point(champion.name, champion.digest)
        assert client.reload(server.base_url)["shadow"] is None
        client.predict(server.base_url, payload(FRAME))
        time.sleep(0.2)
        assert counter(server.base_url, "shadow_rows_scored") == FRAME.height


class Stuck:
    """A candidate that does not come back until it is let go, raises, or scores fewer rows than it was given."""

    release = "2013-02.stuck"

    def __init__(self, *, error: Exception | None = None, missing: int = 0) -> None:
        self.requests = self.card = self
        self.threshold = 0.25
        self.missing = missing
        self.fields: tuple[str, ...] = ()
        self.go = threading.Event()
        self.error = error

    def score_structs(self, rows: Any) -> "NDArray[np.float64]":
        if self.error:
            raise self.error
        self.go.wait(10)
        return np.full(max(0, len(rows) - self.missing), 0.5)


class Kept:
    """A log in memory."""

    lost = 0

    def __init__(self) -> None:
        self.added: list[Predictions] = []

    def add(self, predictions: Predictions) -> None:
        self.added.append(predictions)

    def all(self, name: str) -> list[Any]:
        """One of the values of what was added, end to end."""
        return [value for batch in self.added for value in getattr(batch, name)]

    def column(self, name: str) -> list[Any]:
        """The same as it would be written."""
        values: list[Any] = table(self.added)[name].to_pylist()
        return values

    def close(self) -> None: ...


def answered(count: int) -> Predictions:
    """A champion's predictions for `count` requests, which are their numbers, as are the ids."""
    numbers: Any = range(count)
    return Predictions(
        product="trains",
        environment="production",
        release="a",
        bundle="b" * 64,
        ids="".join(map(named, numbers)),
        at=[dt.datetime(2013, 1, 1)] * count,
        requests=numbers,
        scores=np.full(count, 0.1),
        threshold=0.5,
    )


def named(number: int) -> str:
    """An id that is a number."""
    return f"{number:036d}"


def test_under_load_rows_are_dropped_and_counted_and_no_one_waits() -> None:
    log, stuck = Kept(), Stuck()
    shadow = ShadowScorer(log, most_waiting_rows=100)  # type: ignore[arg-type]
    started = time.monotonic()
    for _ in range(30):
        shadow.add(stuck, "b", answered(10), served_by=stuck)  # type: ignore[arg-type]
    assert time.monotonic() - started < 0.5
    assert shadow.dropped == 200
    stuck.go.set()
    eventually(lambda: shadow.scored == 100)
    shadow.close()
    assert log.column("id") == list(map(named, range(10))) * 10
    assert {(batch.release, batch.environment, batch.bundle) for batch in log.added} == {(stuck.release, "shadow", "b")}
    assert (set(log.all("scores")), {batch.threshold for batch in log.added}) == ({0.5}, {0.25})


def test_a_candidate_that_raises_is_counted_and_logged_without_a_score_and_the_next_one_scores() -> None:
    log, stuck = Kept(), Stuck()
    stuck.go.set()
    shadow = ShadowScorer(log)  # type: ignore[arg-type]
    broken = Stuck(error=RuntimeError("no"))
    shadow.add(broken, "b", answered(70), served_by=broken)  # type: ignore[arg-type]
    shadow.add(stuck, "b", answered(5), served_by=stuck)  # type: ignore[arg-type]
    eventually(lambda: (shadow.failed, shadow.scored) == (70, 5))
    shadow.close()
    assert [math.isnan(score) for score in log.all("scores")] == [True] * 70 + [False] * 5
    assert log.column("decision") == [None] * 70 + [True] * 5


def test_a_candidate_that_scores_fewer_rows_than_it_was_given_is_counted_and_the_next_one_scores() -> None:
    log, stuck, short = Kept(), Stuck(), Stuck(missing=1)
    stuck.go.set()
    short.go.set()
    shadow = ShadowScorer(log)  # type: ignore[arg-type]
    shadow.add(short, "b", answered(7), served_by=short)  # type: ignore[arg-type]
    shadow.add(stuck, "b", answered(5), served_by=stuck)  # type: ignore[arg-type]
    eventually(lambda: (shadow.failed, shadow.scored) == (7, 5))
    shadow.close()
    assert log.column("decision") == [None] * 7 + [True] * 5


class Picky(Stuck):
    """A candidate whose score is the request's number, but cannot score some."""

    def __init__(self, *cannot: int) -> None:
        super().__init__()
        self.cannot = set(cannot)

    def score_structs(self, rows: Any) -> "NDArray[np.float64]":
        if self.cannot.intersection(rows):
            raise ValueError("no")
        return np.array(rows, dtype=np.float64)


def test_one_row_that_cannot_be_scored_costs_its_batch_nothing() -> None:
    log, picky = Kept(), Picky(3)
    shadow = ShadowScorer(log)  # type: ignore[arg-type]
    shadow.add(picky, "b", answered(10), served_by=picky)  # type: ignore[arg-type]
    eventually(lambda: (shadow.failed, shadow.scored) == (1, 9))
    shadow.close()
    missed = [id for id, score in zip(log.column("id"), log.all("scores"), strict=True) if math.isnan(score)]
    assert missed == [named(3)]


@pytest.mark.parametrize("cannot", [(), (0, 70, BATCH_ROWS, 2 * BATCH_ROWS + 2)])
def test_a_large_request_is_scored_in_parts_and_each_row_is_logged_once_with_its_own_score(cannot: tuple[int, ...]) -> None:
    log, picky, count = Kept(), Picky(*cannot), 2 * BATCH_ROWS + 3
    shadow = ShadowScorer(log)  # type: ignore[arg-type]
    shadow.add(picky, "b", answered(count), served_by=picky)  # type: ignore[arg-type]
    eventually(lambda: shadow.failed + shadow.scored == count)
    shadow.close()
    assert max(map(len, log.added)) <= BATCH_ROWS
    assert log.column("id") == list(map(named, range(count)))
    assert log.all("requests") == list(range(count))
    assert [-1 if math.isnan(score) else score for score in log.all("scores")] == [
        -1 if number in cannot else number for number in range(count)
    ]
    assert log.column("decision") == [None if number in cannot else number >= 0.25 for number in range(count)]
