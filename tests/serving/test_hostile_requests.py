"""Requests made to break the endpoint, one by one: each gets a 4xx, and the server goes on."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from ml_assets.serving.client.server_process import ServerProcess
from tests.support.hostile import BODIES, GOOD
from tests.support.serving_store import get, post, store_of_one


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ServerProcess(store_of_one(tmp_path_factory.mktemp("home")).argv) as server:
        yield server.base_url


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_no_body_of_the_corpus_is_answered_or_an_error_of_ours(running: str, body: bytes) -> None:
    assert post(running, body)[0] in (400, 413, 422)


def raw(base_url: str, content: bytes, *, seconds: float = 10.0) -> bytes:
    """What the server says to these bytes on one connection, until it closes or `seconds` pass."""
    host, _, port = base_url.removeprefix("http://").partition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        try:
            connection.sendall(content)
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionError):
            pass
    return answer


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
    answer = raw(running, content)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
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
    answer = raw(running, head + b"{" * 1000, seconds=5)
    assert answer.startswith(b"HTTP/1.1 413")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/predict", 405), ("POST", "/version", 405), ("GET", "/x", 404), ("GET", "/../etc/passwd", 404), ("PUT", "/x", 404)],
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
    answered, content = post(running, body, path="/rollback")
    assert (answered, bool(content["detail"])) == (status, True)
    assert json.loads(get(running, "/version"))["release"] == "r1"


def test_refusals_are_counted_by_reason_and_no_body_is_logged(running: str) -> None:
    secret: dict[str, Any] = {**GOOD, "tailnum": "sparrow-7f3a", "carrier": "sparrow-7f3a"}
    assert post(running, json.dumps(secret).encode())[0] == 422
    text = get(running, "/metrics")
    assert 'ml_assets_refusals_total{product="flights",reason="field"}' in text
    assert "sparrow" not in text
