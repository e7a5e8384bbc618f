"""Several workers of one server: one port, one release at any time, joined metrics, and a replacement for each that dies."""

import itertools
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.http_client import EndpointRefused
from ml_assets.serving.client.server_process import ServerDied, ServerProcess
from ml_assets.serving.http.admission import Admission
from ml_assets.serving.http.api_keys import PEER, matching_key, parse_keys, peer_key
from ml_assets.serving.http.prometheus import joined
from ml_assets.serving.log.reader import read
from tests.serving.test_api_keys import ADMIN, KEYS, request, status
from tests.serving.test_server import ROWS, Started, World, probabilities, status_of_ready, swap, world
from tests.support.load import Load
from tests.support.serving_store import get

__all__ = ["world"]

TWO = ("--workers", "2")
ASKED = 24
"""New connections, enough that each of two workers gets some."""


def releases(base_url: str) -> Counter[str]:
    """Which release answers, asked over as many connections."""
    return Counter(client.predict(base_url, ROWS[:1])["release"] for _ in range(ASKED))


def processes(server: ServerProcess) -> list[psutil.Process]:
    """The workers, without the processes that try bundles for them."""
    return psutil.Process(server.process.pid).children()


def listening(base_url: str) -> int:
    """The sockets that take connections at the URL's port."""
    port = int(base_url.rpartition(":")[2])
    return sum(
        connection.laddr.port == port for connection in psutil.net_connections("tcp") if connection.status == psutil.CONN_LISTEN
    )


def await_listening(base_url: str, count: int, *, seconds: float = 30) -> None:
    """The kernel takes a moment to close what a killed process had."""
    until = time.monotonic() + seconds
    while listening(base_url) != count:
        assert time.monotonic() < until
        time.sleep(0.001)


def samples(text: str, name: str) -> dict[str, float]:
    """The samples of a metric by their labels."""
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith(f"{name}{{")]
    return {labels.removeprefix(name): float(value) for labels, _, value in lines}


def await_workers(base_url: str, *, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while samples(get(base_url, "/metrics"), "ml_assets_worker_up") != {'{worker="1"}': 1.0, '{worker="2"}': 1.0}:
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.long
def test_every_worker_swaps_when_one_is_told(world: World) -> None:
    with world.serve(*TWO) as server:
        assert len(processes(server)) == 2
        assert releases(server.base_url) == {"r1": ASKED}
        for name in itertools.islice(itertools.cycle(["r2", "r1"]), 4):
            world.point(name)
            assert client.reload(server.base_url)["release"] == name
            assert releases(server.base_url) == {name: ASKED}
        assert probabilities(client.predict(server.base_url, ROWS)) == world.offline["r1"]
    assert server.process.returncode == 0


@pytest.mark.long
def test_swaps_under_load_lose_nothing_and_mix_nothing_and_each_prediction_has_its_own_name(world: World) -> None:
    with world.serve(*TWO) as server:
        load = Load(server.base_url, ROWS)
        swap(load, world, swaps=8, threads=6)
    assert {release for _, release, _ in load.answers} == {"r1", "r2"}
    assert len(set(load.ids)) == len(load.ids)
    assert sorted(read(world.store.log)["id"]) == sorted(load.ids)


@pytest.mark.long
def test_a_bundle_that_one_worker_refuses_is_refused_by_the_server(world: World) -> None:
    with world.serve(*TWO) as server:
        for nursery in (child for worker in processes(server)[1:] for child in worker.children()):
            nursery.kill()
        world.point("r2")
        refusals = set()
        for _ in range(ASKED):
            with pytest.raises(EndpointRefused) as caught:
                client.reload(server.base_url)
            refusals.add(str(caught.value.detail["reason"]))
    assert any("worker 2: " in reason and "restart the server" in reason for reason in refusals)
    assert any("worker 2: " not in reason for reason in refusals)


@pytest.mark.long
def test_the_metrics_are_those_of_all_workers(world: World) -> None:
    with world.serve(*TWO) as server:
        releases(server.base_url)
        text = get(server.base_url, "/metrics")
    types = [line for line in text.splitlines() if line.startswith("#")]
    assert len(set(types)) == len(types)
    assert samples(text, "ml_assets_worker_up") == {'{worker="1"}': 1.0, '{worker="2"}': 1.0}
    answered = [f'{{path="/predict",product="flights",status="200",worker="{number}"}}' for number in (1, 2)]
    counts = samples(text, "ml_assets_requests_total")
    assert all(counts[labels] > 0 for labels in answered)
    assert sum(counts[labels] for labels in answered) == ASKED
    assert set(samples(text, "ml_assets_release_info").values()) == {1.0}


def test_a_worker_that_tells_nothing_is_named_and_samples_stay_with_their_family() -> None:
    one = '# TYPE a_total counter\na_total{product="p"} 1\n# TYPE b gauge\nb{product="p"} 2\n'
    two = '# TYPE b gauge\nb{product="p"} 4\n# TYPE a_total counter\na_total{product="p{"} 3\n'
    text = joined({3: None, 2: two, 1: one})
    assert [line for line in text.splitlines() if not line.startswith("# HELP")] == [
        "# TYPE ml_assets_worker_up gauge",
        'ml_assets_worker_up{worker="1"} 1.0',
        'ml_assets_worker_up{worker="2"} 1.0',
        'ml_assets_worker_up{worker="3"} 0.0',
        "# TYPE a_total counter",
        'a_total{product="p",worker="1"} 1.0',
        'a_total{product="p{",worker="2"} 3.0',
        "# TYPE b gauge",
        'b{product="p",worker="1"} 2.0',
        'b{product="p",worker="2"} 4.0',
    ]


@pytest.mark.long
def test_a_killed_worker_is_replaced_by_one_that_serves_what_answers_now_while_the_other_goes_on(world: World) -> None:
    with world.serve(*TWO) as server:
        first, second = processes(server)
        first.kill()
        await_listening(server.base_url, 1)
        assert releases(server.base_url) == {"r1": ASKED}
        world.point("r2")
        assert client.reload(server.base_url)["release"] == "r2"
        await_workers(server.base_url)
        assert second in processes(server)
        assert first not in processes(server)
        assert releases(server.base_url) == {"r2": ASKED}
        text = get(server.base_url, "/metrics")
        assert all(count > 0 for count in samples(text, "ml_assets_rows_total").values())
    assert server.process.returncode == 0


@pytest.mark.long
def test_a_term_signal_under_load_loses_no_accepted_request_of_any_worker(world: World) -> None:
    with world.serve(*TWO, "--drain-seconds", "0.5") as server:
        load = Load(server.base_url, ROWS)
        threads = load.run(threads=6)
        time.sleep(1.0)
        workers = processes(server)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        for thread in threads:
            thread.join()
    assert server.process.returncode == 0
    assert not any(worker.is_running() for worker in workers)
    assert len(load.answers) > 20
    assert set(load.failures) <= {"ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected"}
    assert sorted(read(world.store.log)["id"]) == sorted(load.ids)


@pytest.mark.long
def test_the_workers_end_when_the_process_that_started_them_is_killed(world: World) -> None:
    with world.serve(*TWO) as server:
        workers = processes(server)
        server.process.kill()
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert not alive
        assert status_of_ready(server.base_url) is None


@pytest.mark.parametrize(
    ("of_the_first", "of_the_second"),
    [
        pytest.param((), TWO, id="1-2", marks=pytest.mark.long),
        pytest.param(TWO, (), id="2-1", marks=pytest.mark.long),
        pytest.param(TWO, TWO, id="2-2"),
    ],
)
def test_a_port_is_of_one_server(world: World, of_the_first: tuple[str, ...], of_the_second: tuple[str, ...]) -> None:
    with world.serve(*of_the_first) as server:
        port = server.base_url.rpartition(":")[2]
        argv = [*world.store.argv, *of_the_second, "--port", port]
        taken = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
        assert releases(server.base_url) == {"r1": ASKED}
    assert taken.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use" in taken.stderr


@pytest.mark.long
def test_workers_that_cannot_start_end_the_server_with_their_reason(tmp_path: Path) -> None:
    environ = {"ML_ASSETS_HOME": str(tmp_path / "home"), "ML_ASSETS_KEYS": "admin:nonsense", "DAGSTER_HOME": ""}
    argv = [sys.executable, "-m", "ml_assets", "serve", "flights", *TWO]
    with pytest.raises(ServerDied, match=r"ended with 1\n(.|\n)*ML_ASSETS_KEYS, line 1"), ServerProcess(argv, environ=environ):
        pass


@pytest.mark.long
def test_a_server_of_several_workers_that_has_nothing_to_serve_lives_and_is_not_ready(world: World) -> None:
    world.store.pointer.unlink()
    ready = world.store.home / "ready.json"
    with Started([*world.store.argv, *TWO, "--ready-file", str(ready)], ready) as base_url:
        assert {status_of_ready(base_url) for _ in range(10)} == {503}
        world.point("r2")
        assert client.reload(base_url)["release"] == "r2"
        assert releases(base_url) == {"r2": ASKED}


def test_the_key_of_the_workers_moves_the_endpoint_and_is_none_of_those_configured() -> None:
    key, known_as = peer_key()
    with_keys, without = Admission(KEYS, peer=known_as), Admission(peer=known_as)
    asking = request(f"Bearer {key}", address="10.0.0.7")
    assert with_keys.admit(asking, "admin") == without.admit(asking, "admin") == PEER
    assert status(with_keys, asking, "predict") == 401
    for admission in (with_keys, without):
        assert admission.is_peer(asking)
        assert status(admission, request(f"Bearer {peer_key()[0]}", address="10.0.0.7"), "admin") in (401, 403)
        assert not admission.is_peer(request(f"Bearer {ADMIN}"))
    assert matching_key(KEYS, f"Bearer {key}".encode()) is None
    assert not Admission(KEYS).is_peer(asking)
    assert PEER not in {key.name for key in parse_keys(f"admin:{known_as.digest}:another")}


def test_forked_processes_name_their_predictions_differently() -> None:
    output = subprocess.run([sys.executable, "-c", FORKS], check=True, capture_output=True, text=True, timeout=60).stdout
    random_parts = [line[-12:] for line in output.split()]
    assert len(random_parts) == 3
    assert len(set(random_parts)) == 3


FORKS = """
import os
from ml_assets.serving.log.prediction_id import prediction_id
prediction_id()
for _ in range(2):
    if os.fork() == 0:
        os.write(1, prediction_id().encode() + b"\\n")
        os._exit(0)
    os.wait()
os.write(1, prediction_id().encode() + b"\\n")
"""


def test_what_else_listens_on_the_port_is_named(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        argv = [*world.store.argv, *TWO, "--port", str(port)]
        taken = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert f"127.0.0.1:{port}: Address already in use" in taken.stderr


@pytest.mark.long
def test_a_worker_that_dies_again_and_again_is_started_ever_more_rarely(world: World) -> None:
    with world.serve(*TWO) as server:
        dying, stays = processes(server)
        for _ in range(3):
            dying.kill()
            await_listening(server.base_url, 1)
            await_listening(server.base_url, 2)
            (dying,) = {*processes(server)} - {stays}
        log = Path(server._stderr.name).read_text()
    pauses = [float(line.rpartition("in ")[2].removesuffix(" s")) for line in log.splitlines() if "another starts in" in line]
    assert pauses == [0.2, 0.4, 0.8]
