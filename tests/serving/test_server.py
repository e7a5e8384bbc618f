"""The real server in its own process: parity, hot swaps, refusals, and stopping, all over HTTP."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.http_client import EndpointRefused, EndpointUnreachable
from ml_assets.serving.client.server_process import ServerDied, ServerProcess
from ml_assets.serving.http.server import DRAIN_SECONDS
from ml_assets.serving.log.reader import read
from resources.endpoints import pointer as pointers
from tests.support.load import Load
from tests.support.serving_store import Release, Store, get, payload, post, requests, train

FRAME = requests(60, seed=21)
ROWS = payload(FRAME)


@dataclass(frozen=True)
class World:
    """A store with two releases, production pointing at the first."""

    store: Store
    releases: dict[str, Release]
    offline: dict[str, list[float]]

    def point(self, name: str) -> None:
        self.store.point(name, self.releases[name].digest)

    def serve(self, *options: str) -> ServerProcess:
        return ServerProcess([*self.store.argv, *options], seconds=60)


def own_world(folder: Path) -> World:
    store = Store(folder)
    releases = {}
    for seed, name in enumerate(("r1", "r2"), start=1):
        release = train(folder / name, name=name, seed=seed)
        releases[name] = Release(name, store.add(folder / name), "binary", release.model)
    world = World(store, releases, {name: release.scores(FRAME) for name, release in releases.items()})
    world.point("r1")
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return own_world(tmp_path)


@dataclass(frozen=True)
class Served:
    """A server that several tests ask. It serves the first release, and refuses or takes back what a test points it to."""

    world: World
    base_url: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    world = own_world(tmp_path_factory.mktemp("served"))
    with world.serve() as server:
        yield Served(world, server.base_url)


def probabilities(answer: dict[str, Any]) -> list[float]:
    return [prediction["probability"] for prediction in answer["predictions"]]


def swap(load: Load, world: World, *, swaps: int, threads: int, after: Callable[[], object] = lambda: None) -> None:
    """Ask while the server is swapped to the other release and back, and again; everything has to be answered right. `after` is
    called after each swap."""
    with load.asked(world.offline, threads=threads):
        for name in itertools.islice(itertools.cycle(["r2", "r1"]), swaps):
            time.sleep(0.1)
            world.point(name)
            assert client.reload(load.base_url)["release"] == name
            after()


def test_served_scores_are_the_offline_scores(world: World) -> None:
    with world.serve() as server:
        answer = client.predict(server.base_url, ROWS)
        single = client.predict(server.base_url, ROWS[:1])
        _, plain = post(server.base_url, json.dumps(ROWS[0]).encode())
    assert answer["release"] == "r1"
    assert probabilities(answer) == world.offline["r1"]
    assert probabilities(single) == probabilities(plain) == world.offline["r1"][:1]
    assert [p["decision"] for p in answer["predictions"]] == [score >= 0.5 for score in world.offline["r1"]]
    logged = read(world.store.log)
    assert server.process.returncode == 0
    assert logged["score"].to_list() == [*world.offline["r1"], *world.offline["r1"][:1] * 2]
    named = [set(logged[name]) for name in ("product", "environment", "release", "bundle")]
    assert named == [{"flights"}, {"production"}, {"r1"}, {world.releases["r1"].digest}]
    assert json.loads(logged["request"][0]) == ROWS[0]
    assert {p["id"] for p in answer["predictions"]} < set(logged["id"])


def test_hot_swaps_under_load_lose_nothing_and_mix_nothing(world: World) -> None:
    with world.serve() as server:
        load = Load(server.base_url, ROWS)
        swap(load, world, swaps=12, threads=4)
        metrics = get(server.base_url, "/metrics")
    by_release = Counter(release for _, release, _ in load.answers)
    assert by_release["r1"] > 20
    assert by_release["r2"] > 20
    assert 'ml_assets_swaps_total{product="flights"} 13' in metrics


@pytest.mark.long
def test_a_term_signal_under_load_loses_no_accepted_request(world: World) -> None:
    with world.serve("--drain-seconds", str(DRAIN_SECONDS)) as server:
        load = Load(server.base_url, ROWS)
        threads = load.run(threads=4)
        time.sleep(1.0)
        server.process.send_signal(signal.SIGTERM)
        statuses = []
        while server.process.poll() is None:
            statuses.append(status_of_ready(server.base_url))
            time.sleep(0.02)
        for thread in threads:
            thread.join()
    assert server.process.returncode == 0
    assert 503 in statuses
    assert statuses[-1] in (503, None)
    assert len(load.answers) > 20
    assert set(load.failures) <= {"ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected"}
    assert sorted(read(world.store.log)["id"]) == sorted(load.ids)


def status_of_ready(base_url: str) -> int | None:
    try:
        client.ready(base_url)
    except EndpointRefused as error:
        return error.status
    except EndpointUnreachable:
        return None
    return 200


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: flip_a_byte(folder / "model.cbm"),
        lambda folder: (folder / "model.cbm").write_bytes(b""),
        lambda folder: (folder / "lookups" / "planes.parquet").unlink(),
        lambda folder: (folder / "extra.py").write_text("raise SystemExit"),
        lambda folder: folder.rename(folder.with_name("gone")),
    ],
    ids=["flipped", "empty", "missing", "extra", "gone"],
)
def test_a_damaged_bundle_is_refused_and_the_old_release_keeps_answering(served: Served, harm: Callable[[Path], object]) -> None:
    world, base_url = served.world, served.base_url
    digest = copied(world.store, world.releases["r2"].digest)
    harm(world.store.home / "bundles" / digest)
    world.store.point("r2", digest)
    status, content = post(base_url, b"", path="/reload")
    assert (status, content["release"]) == (409, "r1")
    assert content["reason"]
    assert probabilities(client.predict(base_url, ROWS)) == world.offline["r1"]
    assert client.release(base_url)["release"] == "r1"
    assert client.ready(base_url)["release"] == "r1"


def copied(store: Store, digest: str) -> str:
    """The same bundle under another digest, to be damaged."""
    folder, other = store.home / "bundles", uuid4().hex
    shutil.copytree(folder / digest, folder / other)
    shutil.copy(folder / f"{digest}.json", folder / f"{other}.json")
    return other


def test_a_pointer_that_names_another_release_than_the_bundle_is_refused(served: Served) -> None:
    served.world.store.point("r7", served.world.releases["r2"].digest)
    with pytest.raises(EndpointRefused, match="r7") as caught:
        client.reload(served.base_url)
    assert caught.value.status == 409
    served.world.store.pointer.write_text("{")
    assert post(served.base_url, b"", path="/reload")[0] == 409


def test_reload_of_the_same_bundle_takes_over_the_new_decision(served: Served) -> None:
    before = client.release(served.base_url)
    served.world.point("r1")
    pointer = pointers.read(served.world.store.pointer)
    assert pointer
    pointers.write(served.world.store.pointer, msgspec.structs.replace(pointer, by="operator", reason="confirmed"))
    assert client.reload(served.base_url) == {**before, "by": "operator", "reason": "confirmed", "refused": None}


@pytest.mark.long
def test_nothing_promoted_is_not_ready_and_a_promotion_changes_that(world: World) -> None:
    world.store.pointer.unlink()
    with pytest.raises(EndpointRefused, match="nothing was promoted"), world.serve():
        pass
    ready = world.store.home / "ready.json"
    process = Started([*world.store.argv, "--ready-file", str(ready)], ready)
    with process as base_url:
        assert status_of_ready(base_url) == 503
        assert post(base_url, json.dumps(ROWS[0]).encode())[0] == 503
        world.point("r2")
        assert client.reload(base_url)["release"] == "r2"
        assert probabilities(client.predict(base_url, ROWS)) == world.offline["r2"]


@dataclass
class Started:
    """A bare child, for servers that are not ready yet."""

    argv: list[str]
    ready: Path

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.argv)
        while not self.ready.exists():
            assert self.process.poll() is None
            time.sleep(0.02)
        return str(json.loads(self.ready.read_text())["url"])

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(15)


def test_a_server_that_dies_says_why(tmp_path: Path) -> None:
    code = "import sys; print('the reason', file=sys.stderr); sys.exit(3)"
    with (
        pytest.raises(ServerDied, match=r"ended with 3\n(.|\n)*the reason"),
        ServerProcess([sys.executable, "-c", code]),
    ):
        pass
    slow = ServerProcess([sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.3)
    with pytest.raises(ServerDied, match="not ready"), slow:
        pass
    assert slow.process.returncode is not None


@pytest.mark.long
def test_a_taken_port_is_named(world: World) -> None:
    with world.serve() as server:
        port = server.base_url.rpartition(":")[2]
        taken = subprocess.run([*world.store.argv, "--port", port], check=False, capture_output=True, text=True, timeout=60)
    assert taken.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use" in taken.stderr


@pytest.mark.parametrize(
    "options", [pytest.param((), id="one"), pytest.param(("--workers", "2"), id="workers", marks=pytest.mark.long)]
)
def test_a_server_ends_with_the_process_that_started_it(world: World, options: tuple[str, ...]) -> None:
    ready = world.store.home / "ready.json"
    argv = [sys.executable, "-c", ORPHAN, *world.store.argv, *options, "--ready-file", str(ready)]
    os.waitpid(os.spawnv(os.P_NOWAIT, sys.executable, argv), 0)
    until = time.monotonic() + 20
    while not ready.exists() or status_of_ready(json.loads(ready.read_text())["url"]) is not None:
        assert time.monotonic() < until
        time.sleep(0.05)


ORPHAN = """
import pathlib, subprocess, sys, time
subprocess.Popen(sys.argv[1:])
while not pathlib.Path(sys.argv[-1]).exists(): time.sleep(0.02)
"""
