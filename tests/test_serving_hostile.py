"""Requests made to break the endpoint: each gets a 4xx, nothing gets a 5xx, and the server goes on."""

import http.client
import json
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from test_serving_support import Store, get, payload, post, requests, train

from ml_assets.serving.process import ServerProcess

ROWS = payload(requests(40, seed=31))
GOOD = ROWS[0]
PIECES = [b"{", b"[", b'"', b",", b":", b"\\", b"null", b'"rows":', b"\\ud83d", b" ", b'"carrier":"AA",']
DEEP, WIDE = b"[" * 5000, b'{"rows":[' + b",".join([b"{}"] * 5000) + b"]}"
LITERALS = [
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0", "-0.0", "0x10", "01", "1.", ".5", "+1", "1e", "9" * 400,
    "1" + "0" * 5000, "true", "null", '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\\x"', '"' + "a" * 100_000 + '"', "[]",
    "{}",
    "[" * 60 + "]" * 60, '{"a":' * 60 + "1" + "}" * 60, '"2013-02-30T00:00:00"', '"2013-01-01T24:00:00"', '"0000-01-01T00:00:00"',
    '"9999-12-31T23:59:59.999999999"', '"2013-01-01T10:00:00+25:00"', '"2013-01-01"', "'a'", "undefined", "/**/1", "1_000",
]  # fmt: skip
BODIES = [
    b"", b" ", b"\x00", b"\xff\xfe{\x00", b"\xef\xbb\xbf{}", b"null", b"{", b"}", b'{"rows"', b'{"rows":[', DEEP, WIDE,
    b'{"rows":[{}],"rows":[{}]}', b'{"rows":[],"x":1}', b'{"' + b"k" * 100_000 + b'":1}', b"[1,2" * 1000, b'"\\ud800"',
    json.dumps(GOOD).encode() * 2, json.dumps(GOOD).encode() + b"\x00", json.dumps([GOOD]).encode(),
    json.dumps(GOOD).encode("utf-16"),
    b'{"__proto__":{}}', b'{"rows":{"0":{}}}', b"a=1&b=2", b"<xml/>", b"\r\n" * 1000, b'{"a":1}' + b"}" * 1000,
]  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = Store(tmp_path_factory.mktemp("home"))
    train(store.home / "r", name="r1", seed=1)
    store.point("r1", store.add(store.home / "r"))
    with ServerProcess(store.argv) as server:
        yield server.base_url


def hostile(rng: random.Random) -> bytes:
    """A body: of the corpus, or a good one with something changed."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(BODIES)
    rows = rng.choices(ROWS, k=rng.choice([1, 1, 1, 2, 5]))
    body = json.dumps({"rows": rows} if rng.random() < 0.5 else rows[0])
    if kind == 1:
        name = rng.choice(list(GOOD))
        return json.dumps({**GOOD, name: "PLACE"}).replace('"PLACE"', rng.choice(LITERALS)).encode()
    raw = bytearray(body.encode())
    for _ in range(rng.choice([1, 1, 3, 20])):
        place = rng.randrange(len(raw) or 1)
        if kind == 2:
            raw[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 3:
            del raw[place : place + rng.randrange(40)]
        elif kind == 4:
            raw[place:place] = rng.choice(
                [b"{", b"[", b'"', b",", b":", b"\\", b"null", b'"rows":', b"\\ud83d", b" ", b'"carrier":"AA",']
            )
        else:
            raw[place:place] = raw[rng.randrange(len(raw)) :][:60]
    return bytes(raw)


def attack(base_url: str, *, count: int, seed: int) -> Counter[int]:
    """The statuses of so many hostile requests on connections that are kept."""
    rng, found = random.Random(seed), Counter[int]()
    print(f"seed {seed}")  # noqa: T201 - repeats a failure
    connection = http.client.HTTPConnection(base_url.removeprefix("http://"), timeout=30)
    with closing(connection):
        for number in range(count):
            body = hostile(rng)
            connection.request("POST", "/predict", body)
            response = connection.getresponse()
            content = response.read()
            found[response.status] += 1
            assert response.status < 500, (number, body[:300], content)
            if response.status != 200:
                assert json.loads(content)["detail"][0]["message"], body[:300]
    return found


def test_two_thousand_hostile_requests_get_no_server_error(running: str) -> None:
    found = attack(running, count=2000, seed=19)
    assert set(found) <= {200, 400, 413, 422}
    assert min(found[status] for status in (200, 400, 422)) > 20
    assert post(running, json.dumps(GOOD).encode())[0] == 200


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_hostile_requests_get_no_server_error(running: str) -> None:
    seed = int(os.environ.get("SEED", time.time_ns() % 10**9))
    found = attack(running, count=100_000, seed=seed)
    assert set(found) <= {200, 400, 413, 422}
    assert post(running, json.dumps(GOOD).encode())[0] == 200


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_no_body_of_the_corpus_is_answered_or_an_error_of_ours(running: str, body: bytes) -> None:
    assert post(running, body)[0] in (400, 413, 422)


def raw(base_url: str, content: bytes, *, seconds: float = 10.0) -> bytes:
    """What the server says to these bytes on one connection, until it closes or `seconds` pass."""
    host, _, port = base_url.removeprefix("http://").partition(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        try:
            connection.sendall(content)
            while chunk := connection.recv(65536):
                found += chunk
        except (TimeoutError, ConnectionError):
            pass
    return found


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense\r\n\r\n",
        b"POST /predict HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999999\r\n\r\n",
    ],
    ids=range(7),
)
def test_http_that_is_wrong_is_refused_and_the_connection_closed(running: str, content: bytes) -> None:
    found = raw(running, content)
    assert found.startswith(b"HTTP/1.1 4"), found[:200]
    assert post(running, json.dumps(GOOD).encode())[0] == 200


@pytest.mark.parametrize("head", [b"GET /livez HTTP/1.1\r\nx: ", b"GET /"], ids=["header", "url"])
def test_a_head_without_end_is_refused(running: str, head: bytes) -> None:
    assert raw(running, head + b"a" * 2_000_000, seconds=5).startswith(b"HTTP/1.1 431")


def test_a_chunked_body_over_the_limit_is_refused_before_its_end(running: str) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n" % 100_000 + b" " * 100_000 + b"\r\n"
    assert raw(running, head + chunk * 25, seconds=5).startswith(b"HTTP/1.1 413")


def test_a_body_that_says_to_be_too_large_is_refused_before_it_is_sent(running: str) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n"
    started = time.monotonic()
    found = raw(running, head + b"{" * 1000, seconds=5)
    assert found.startswith(b"HTTP/1.1 413")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/predict", 405), ("POST", "/version", 405), ("GET", "/", 404), ("GET", "/../etc/passwd", 404), ("PUT", "/x", 404)],
)
def test_other_routes_and_methods_are_named(running: str, method: str, path: str, status: int) -> None:
    with closing(http.client.HTTPConnection(running.removeprefix("http://"), timeout=10)) as connection:
        connection.request(method, path)
        response = connection.getresponse()
        assert response.status == status
        assert json.loads(response.read())["detail"][0]["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"to": 3}', 422),
        (b'{"x": 1}', 422),
        (b'{"to": ""}', 422),
        (b"{}", 409),
        (b"[" * 9000, 422),
        (b"[" * 11_000, 413),
    ],
)
def test_a_hostile_rollback_moves_nothing(running: str, body: bytes, status: int) -> None:
    found, content = post(running, body, path="/rollback")
    assert (found, bool(content["detail"])) == (status, True)
    assert json.loads(get(running, "/version"))["release"] == "r1"


def test_refusals_are_counted_by_reason_and_no_body_is_logged(running: str) -> None:
    secret: dict[str, Any] = {**GOOD, "tailnum": "canary-7f3a", "carrier": "canary-7f3a"}
    assert post(running, json.dumps(secret).encode())[0] == 422
    text = get(running, "/metrics")
    assert 'ml_assets_refusals_total{product="flights",reason="field"}' in text
    assert "canary" not in text
