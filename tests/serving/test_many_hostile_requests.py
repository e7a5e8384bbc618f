"""Many hostile requests to one server on connections that are kept: never a 5xx, and good requests get their exact score."""

import http.client
import json
import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass

import psutil
import pytest

from ml_assets.serving.client import http_client as client
from ml_assets.serving.client.server_process import ServerProcess
from tests.support.hostile import FRAME, HEADERS, ROWS, body, wire
from tests.support.serving_store import Store, get, train

CONNECTIONS = 4
MOST_BODY_BYTES = 2_000_000
_STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)


@dataclass(frozen=True)
class Attacked:
    """A server, and the scores that evaluation gave to ROWS."""

    server: ServerProcess
    offline: list[float]

    @property
    def megabytes(self) -> float:
        return float(psutil.Process(self.server.process.pid).memory_info().rss / 2**20)

    def attack(self, *, count: int, seed: str) -> Counter[int]:
        """The statuses of this many hostile requests, each connection's made from the seed and its number."""
        statuses = Counter[int]()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            seeds = [f"{seed} {number}" for number in range(CONNECTIONS)]
            for counts in pool.map(lambda seed: self._attack(count // CONNECTIONS, random.Random(seed)), seeds):
                statuses += counts
        return statuses

    def _attack(self, count: int, rng: random.Random) -> Counter[int]:
        statuses = Counter[int]()
        host = self.server.base_url.removeprefix("http://")
        with closing(http.client.HTTPConnection(host, timeout=60)) as connection:
            for number in range(count):
                if number % 50 == 0:
                    self._is_exact(connection, rng.randrange(len(ROWS)))
                content = body(rng)
                headers = rng.choice(HEADERS) if rng.random() < 0.2 else {}
                if rng.random() < 0.02:
                    statuses.update(self._on_the_wire(wire(rng)))
                elif len(content) > MOST_BODY_BYTES:
                    head = b"POST /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(content)
                    statuses.update(self._on_the_wire(head + content))
                else:
                    statuses[_refused_or_answered(connection, content, headers)] += 1
        return statuses

    def _is_exact(self, connection: http.client.HTTPConnection, row: int) -> None:
        connection.request("POST", "/predict", json.dumps(ROWS[row]))
        response = connection.getresponse()
        content = response.read()
        assert response.status == 200, content
        assert json.loads(content)["predictions"][0]["probability"] == self.offline[row]

    def _on_the_wire(self, content: bytes) -> list[int]:
        """The statuses on a connection of its own, until the server closes it or says nothing more."""
        host, _, port = self.server.base_url.removeprefix("http://").partition(":")
        answer = b""
        with socket.create_connection((host, int(port)), timeout=0.5) as connection:
            with suppress(TimeoutError, ConnectionError):
                connection.sendall(content)
            with suppress(TimeoutError, ConnectionError):
                while chunk := connection.recv(65536):
                    answer += chunk
        statuses = [int(status) for status in _STATUS.findall(answer)]
        assert all(status < 500 for status in statuses), (content[:500], answer)
        return statuses or [0]


def _refused_or_answered(connection: http.client.HTTPConnection, content: bytes, headers: dict[str, str]) -> int:
    connection.request("POST", "/predict", content, headers)
    response = connection.getresponse()
    answer = response.read()
    assert response.status < 500, (content[:300], headers, answer)
    if response.status != 200 and response.getheader("content-type") == "application/json":
        assert json.loads(answer)["detail"][0]["message"], content[:300]
    return response.status


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    store = Store(tmp_path_factory.mktemp("home"))
    release = train(store.home / "r", name="r1", seed=1)
    store.point("r1", store.add(store.home / "r"))
    with ServerProcess(store.argv) as server:
        yield Attacked(server, release.scores(FRAME))


def goes_on(attacked: Attacked) -> None:
    """The process lives, is ready, and scores as evaluation did."""
    assert attacked.server.process.poll() is None
    assert client.ready(attacked.server.base_url)["release"] == "r1"
    answer = client.predict(attacked.server.base_url, ROWS)
    assert [prediction["probability"] for prediction in answer["predictions"]] == attacked.offline
    assert not re.search(r'status="5', get(attacked.server.base_url, "/metrics"))


@pytest.mark.long
def test_two_thousand_hostile_requests_get_no_server_error(attacked: Attacked) -> None:
    statuses = attacked.attack(count=2000, seed="19")
    assert set(statuses) <= {0, 101, 200, 400, 404, 413, 415, 422, 431}
    assert min(statuses[status] for status in (200, 400, 422)) > 20
    goes_on(attacked)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_hostile_requests_get_no_server_error_and_keep_the_memory(attacked: Attacked) -> None:
    seed = os.environ.get("SEED", str(time.time_ns() % 10**9))
    print(f"SEED={seed}")  # noqa: T201 - repeats a failure
    started = time.monotonic()
    statuses = attacked.attack(count=10_000, seed=f"{seed} first")
    early = attacked.megabytes
    statuses += attacked.attack(count=90_000, seed=seed)
    print(f"{dict(statuses)} in {time.monotonic() - started:.0f} s, {early:.0f} then {attacked.megabytes:.0f} MB")  # noqa: T201
    assert set(statuses) <= {0, 101, 200, 400, 404, 413, 415, 422, 431}
    assert attacked.megabytes <= 1.2 * early
    goes_on(attacked)
