"""A canary serves its share of the requests, the same ones each time, and no fault of it fails a request."""

import json
import math
import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.monitoring.shadow_harm import judge, pairs
from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.serving.log import reader
from ml_assets.serving.release.bundle_files import BundleFiles
from ml_assets.serving.release.loaded_releases import Candidate
from ml_assets.serving.release.switch import Endpoint
from ml_assets.spec.sections import ShadowSpec
from resources.endpoints import pointer as pointers
from tests.serving.test_shadow import counter, eventually
from tests.support.serving_store import CLASSES, REQUEST, Release, Store, payload, post, requests, train

FRAME = requests(60, seed=5)
FARTHEST = 1500
SHARE = 0.4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Release, Release]:
    """A champion, and a candidate with its fields in another order that takes no request of a distance over FARTHEST."""
    store, releases = Store(tmp_path_factory.mktemp("canary") / "home"), []
    for name, seed in (("2013-01.champion", 1), ("2013-02.candidate", 2)):
        folder = store.home.parent / name
        release = train(folder, name=name, seed=seed)
        if seed == 2:
            fields = [field | {"le": FARTHEST} if field["name"] == "distance" else field for field in reversed(REQUEST)]
            (folder / "request.json").write_text(json.dumps(fields))
            golden = json.loads((folder / "golden.json").read_text())
            kept = [n for n, row in enumerate(golden["requests"]) if row["distance"] <= FARTHEST]
            (folder / "golden.json").write_text(json.dumps({name: [values[n] for n in kept] for name, values in golden.items()}))
        releases.append(Release(name, store.add(folder), release.task, release.model))
    return store, releases[0], releases[1]


@pytest.fixture
def world(trained: tuple[Store, Release, Release], tmp_path: Path) -> tuple[Store, Release, Release]:
    """A copy of the store in which the candidate answers a share."""
    store, champion, candidate = trained
    shutil.copytree(store.home, tmp_path / "home")
    copy = Store(tmp_path / "home")
    copy.point(champion.name, champion.digest, shadow=(candidate.name, candidate.digest), share=SHARE)
    return copy, champion, candidate


def one_by_one(base_url: str, frame: pl.DataFrame) -> list[tuple[str, str, float]]:
    """Release, id and score of each row, asked alone."""
    answers = []
    for row in payload(frame):
        status, answer = post(base_url, json.dumps(row).encode())
        assert status == 200, answer
        (prediction,) = answer["predictions"]
        answers.append((answer["release"], prediction["id"], prediction["probability"]))
    return answers


@pytest.mark.long
def test_a_canary_answers_the_same_share_each_time_as_offline_and_the_champion_scores_it_too(
    world: tuple[Store, Release, Release],
) -> None:
    store, champion, candidate = world
    near = FRAME.filter(pl.col("distance") <= FARTHEST)
    offline = {release.name: release.scores(near) for release in (champion, candidate)}
    with ServerProcess(store.argv) as server:
        first, second = one_by_one(server.base_url, near), one_by_one(server.base_url, near)
        assert [release for release, _, _ in first] == [release for release, _, _ in second]
        by = [release for release, _, _ in first]
        assert 0.07 < by.count(candidate.name) / near.height < 0.8  # 29 draws: beyond, once in thousands of runs
        assert [score for _, _, score in first] == [offline[release][n] for n, release in enumerate(by)]
        eventually(lambda: counter(server.base_url, "shadow_rows_scored") == 2 * near.height)
        assert counter(server.base_url, "canary_rows") == 2 * by.count(candidate.name)
        assert client.release(server.base_url)["shadow"]["share"] == SHARE
        store.point(champion.name, champion.digest)
        assert client.reload(server.base_url)["shadow"] is None
        assert {release for release, _, _ in one_by_one(server.base_url, near)} == {champion.name}
    shadowed = {row["id"]: row for row in reader.read(store.shadow_log).iter_rows(named=True)}
    for n, (release, id, _) in enumerate(first):
        other = champion if release == candidate.name else candidate
        row = shadowed[id]
        assert (row["release"], row["bundle"], row["score"]) == (other.name, other.digest, offline[other.name][n])
    answered = {row["id"]: row for row in reader.read(store.log).iter_rows(named=True)}
    digests = {champion.name: champion.digest, candidate.name: candidate.digest}
    assert all((answered[id]["release"], answered[id]["bundle"]) == (release, digests[release]) for release, id, _ in first)


@pytest.mark.long
def test_a_canary_of_several_classes_is_scored_by_both_releases_and_judged_by_each_class(tmp_path: Path) -> None:
    store, releases = Store(tmp_path / "home"), []
    for name, seed in (("2013-01.champion", 1), ("2013-02.candidate", 2)):
        release = train(tmp_path / name, name=name, seed=seed, task="multiclass")
        releases.append(Release(name, store.add(tmp_path / name), release.task, release.model))
    champion, candidate = releases
    store.point(champion.name, champion.digest, shadow=(candidate.name, candidate.digest), share=SHARE)
    offline = {release.name: release.scores(FRAME) for release in releases}
    with ServerProcess(store.argv) as server:
        answered_by = []
        for n, row in enumerate(payload(FRAME)):
            status, answer = post(server.base_url, json.dumps(row).encode())
            assert status == 200, answer
            answered_by.append(answer["release"])
            assert [*answer["predictions"][0]["probabilities"].values()] == offline[answer["release"]][n]
        eventually(lambda: counter(server.base_url, "shadow_rows_scored") == FRAME.height)
    assert 0 < answered_by.count(candidate.name) < FRAME.height
    assert FRAME["scheduled_at"].is_unique().all()
    outcomes = FRAME.select("scheduled_at", label=pl.int_range(pl.len()) % 3, day_number=pl.int_range(pl.len()), time=0)
    logs = reader.read(store.log), reader.read(store.shadow_log)
    paired = pairs(*logs, outcomes, key=["scheduled_at"], champion=champion.name, classes=CLASSES)
    terms = ShadowSpec(unit="day_number", max_harm=0.1, bound=2)
    judged = judge(paired, task="multiclass", label="label", time="time", terms=terms, classes=CLASSES)
    truth = np.eye(3)[np.arange(FRAME.height) % 3]
    brier = {name: ((np.array(scores) - truth) ** 2).sum(axis=1) for name, scores in offline.items()}
    assert judged.rows == FRAME.height
    assert judged.bounds.mean == pytest.approx((brier[candidate.name] - brier[champion.name]).mean(), abs=1e-12)


@pytest.mark.long
def test_rows_of_one_request_are_answered_by_one_release(world: tuple[Store, Release, Release]) -> None:
    store, champion, candidate = world
    near = FRAME.filter(pl.col("distance") <= FARTHEST)
    offline = {release.name: release.scores(near) for release in (champion, candidate)}
    with ServerProcess(store.argv) as server:
        alone = [release for release, _, _ in one_by_one(server.base_url, near)]
        for start in (alone.index(candidate.name), alone.index(champion.name)):
            answer = client.predict(server.base_url, payload(near[start:]))
            assert answer["release"] == alone[start]
            assert [prediction["probability"] for prediction in answer["predictions"]] == offline[alone[start]][start:]


@pytest.mark.long
def test_what_a_canary_does_not_take_the_champion_answers_and_it_is_counted_and_logged_without_a_score(
    world: tuple[Store, Release, Release],
) -> None:
    store, champion, _ = world
    far = FRAME.with_columns(pl.lit(FARTHEST + 1).cast(FRAME.schema["distance"]).alias("distance"))
    with ServerProcess(store.argv) as server:
        answers = one_by_one(server.base_url, far)
        assert {release for release, _, _ in answers} == {champion.name}
        assert [score for _, _, score in answers] == champion.scores(far)
        assert 0 < counter(server.base_url, "canary_failed_rows") < far.height
        eventually(lambda: counter(server.base_url, "shadow_rows_failed") == far.height)
    assert all(map(math.isnan, reader.read(store.shadow_log)["score"]))


def test_a_rollback_does_not_wait_for_a_candidate_that_is_still_loaded(world: tuple[Store, Release, Release]) -> None:
    store, champion, candidate = world
    store.point(champion.name, champion.digest)
    go, began = threading.Event(), threading.Event()

    def open_bundle(digest: str) -> BundleFiles:
        if digest == candidate.digest:
            began.set()
            assert go.wait(30)
        return store.open_bundle(digest)

    read = partial(pointers.read, store.pointer)
    endpoint = Endpoint(product="flights", environment="production", pointer=read, open_bundle=open_bundle)
    endpoint.reload()
    store.point(champion.name, champion.digest, shadow=(candidate.name, candidate.digest), share=SHARE)
    loading = threading.Thread(target=endpoint.reload)
    loading.start()
    assert began.wait(30)
    store.point(champion.name, champion.digest)
    taken_off = threading.Thread(target=endpoint.reload)
    taken_off.start()
    taken_off.join(5)
    is_done = not taken_off.is_alive()
    go.set()
    loading.join()
    taken_off.join()
    assert is_done
    assert endpoint.serving
    assert endpoint.serving.candidate is None


class Row(msgspec.Struct):
    """A request."""

    number: int
    other: int = 0


def candidate_of(share: float, digest: str = "d" * 64) -> Candidate:
    unused: Any = object()
    return Candidate(digest, share, unused, {}, ("number",))


@pytest.mark.long
@given(share=st.floats(0.01, 0.5), digest=st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_share_is_kept_whatever_the_candidate_and_depends_on_the_key_alone(share: float, digest: str) -> None:
    rows = [Row(number, other=number) for number in range(2000)]
    taken = [candidate_of(share, digest).takes(row) for row in rows]
    assert abs(sum(taken) - share * 2000) < 6 * math.sqrt(2000 * share * (1 - share))
    assert taken == [candidate_of(share, digest).takes(Row(row.number)) for row in rows]
    larger = [candidate_of(min(1.0, share * 2), digest).takes(row) for row in rows]
    assert all(more or not less for less, more in zip(taken, larger, strict=True))
