"""Swaps and kills under load: no request fails because of a swap, and a killed server comes back with what was acknowledged."""

import contextlib
import datetime as dt
import itertools
import json
import signal
import threading
import time
from collections import Counter
from typing import Any

import polars as pl
import psutil
import pytest

from ml_assets.serving.client import http_client as client
from ml_assets.serving.log.reader import read
from resources.endpoints import pointer as pointers
from tests.serving.test_server import ROWS, World, swap, world
from tests.support.load import Load
from tests.support.logged import id_at
from tests.support.serving_store import get, post

__all__ = ["world"]


def swap_to_new_bytes(world: World, *, turns: int) -> list[float]:
    """Resident megabytes while each swap is to a bundle that isn't in memory: both are loaded again each time."""
    megabytes: list[float] = []
    third = world.store.home / "bundles" / world.releases["r1"].digest
    digest = "f" * 64
    (third.parent / digest).symlink_to(third, target_is_directory=True)
    (third.parent / f"{digest}.json").write_text((third.parent / f"{third.name}.json").read_text())
    with world.serve() as server:
        process = psutil.Process(server.process.pid)
        names = [("r2", world.releases["r2"].digest), ("r1", digest), ("r1", third.name)]
        for name, target in itertools.islice(itertools.cycle(names), turns):
            world.store.point(name, target)
            client.reload(server.base_url)
            megabytes.append(process.memory_info().rss / 2**20)
    return megabytes


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_hundred_swaps_under_load_fail_no_request_and_keep_the_memory(world: World) -> None:
    megabytes: list[float] = []
    with world.serve() as server:
        process, load = psutil.Process(server.process.pid), Load(server.base_url, ROWS)
        swap(load, world, swaps=100, threads=4, after=lambda: megabytes.append(process.memory_info().rss / 2**20))
        metrics = get(server.base_url, "/metrics")
    assert Counter(release for _, release, _ in load.answers).keys() == {"r1", "r2"}
    assert 'ml_assets_swaps_total{product="flights"} 101' in metrics
    assert max(megabytes) <= 1.2 * megabytes[2]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_hundred_loads_of_bundles_that_are_not_in_memory_keep_the_memory(world: World) -> None:
    megabytes = swap_to_new_bytes(world, turns=100)
    assert max(megabytes) <= 1.2 * max(megabytes[:6])


@pytest.mark.long
def test_a_kill_under_load_leaves_whole_records_and_the_acknowledged_release(world: World) -> None:
    with world.serve() as server:
        load = Load(server.base_url, ROWS)
        threads = load.run(threads=3)
        time.sleep(0.3)
        world.point("r2")
        assert client.reload(server.base_url)["release"] == "r2"
        time.sleep(1.5)
        due = id_at(dt.datetime.now(dt.UTC).replace(tzinfo=None) - dt.timedelta(seconds=1))
        server.process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
    logged = read(world.store.log)
    assert set(logged["id"]) - set(load.ids) <= set(logged["id"].tail(200))
    assert {id for id in load.ids if id < due} <= set(logged["id"])
    assert logged.filter(pl.col("id") < due).height > 20
    with world.serve() as server:
        assert client.release(server.base_url)["release"] == "r2"
        answer = client.predict(server.base_url, [json.loads(logged["request"][0])])
    kept = logged.row(0, named=True)
    if kept["release"] == "r2":
        assert answer["predictions"][0]["probability"] == kept["score"]


@pytest.mark.long
def test_a_server_that_is_killed_while_it_loads_serves_the_pointer_after(world: World) -> None:
    with world.serve() as server:
        world.point("r2")
        reloading = threading.Thread(target=lambda: _ignore(lambda: client.reload(server.base_url)))
        reloading.start()
        time.sleep(0.05)
        server.process.send_signal(signal.SIGKILL)
        reloading.join()
    with world.serve() as server:
        assert client.ready(server.base_url)["release"] == "r2"


def _ignore(call: Any) -> None:
    with contextlib.suppress(client.EndpointError):
        call()


@pytest.mark.long
def test_the_process_that_tries_bundles_ends_with_the_server(world: World) -> None:
    with world.serve() as server:
        children = psutil.Process(server.process.pid).children()
        assert len(children) == 1
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        psutil.wait_procs(children, timeout=10)
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


@pytest.mark.long
def test_metrics_tell_stages_engine_drift_and_release(world: World) -> None:
    with world.serve() as server:
        client.predict(server.base_url, ROWS[:3])
        post(server.base_url, b"{")
        pointer = pointers.read(world.store.pointer)
        assert pointer
        version = client.release(server.base_url)
        text = get(server.base_url, "/metrics")
    assert (version["bundle"], version["environment"], version["instead_of"]) == (pointer.bundle, "production", None)
    assert version["features"]["engine"] == "duckdb"  # the test's SQL sums over days
    assert version["features"]["why_not_compiled"]
    for line in (
        "ml_assets_features_compiled",
        "ml_assets_score_count",
        "ml_assets_serves_instead_of_pointer",
        "ml_assets_release_info",
    ):
        assert line in text
