"""The real server's answers to good and hostile clients."""

import html
import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.serving.client.server_process import ServerProcess
from ml_assets.serving.http.home_page import example, newest_day
from ml_assets.serving.requests.field import Field
from tests.support.serving_store import REQUEST, get, payload, post, requests, store_of_one

ROWS = payload(requests(60, seed=21))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose release never changes."""
    with ServerProcess(store_of_one(tmp_path_factory.mktemp("home")).argv) as server:
        yield server.base_url


def test_documents_derive_from_the_contract(running: str) -> None:
    document = json.loads(get(running, "/openapi.json"))
    request = document["components"]["schemas"]["Request"]
    assert set(request["properties"]) == set(request["required"]) == {field["name"] for field in REQUEST}
    assert request["additionalProperties"] is False
    assert request["properties"]["distance"] == {"type": "integer", "minimum": 1, "maximum": 6000}
    assert {"/predict", "/livez", "/readyz", "/version", "/metrics"} <= set(document["paths"])
    assert json.loads(get(running, "/livez")) == {"status": "alive"}


def test_the_page_for_a_person_says_what_serves_and_its_example_is_answered(running: str) -> None:
    page = get(running, "/")
    assert page == get(running, "/docs")
    assert "release r1 serves in production" in page
    assert not re.search(r"(src|href)=|https?://", page), "nothing comes from anywhere else"
    (example,) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL)
    status, answer = post(running, html.unescape(example).encode())
    assert (status, answer["release"]) == (200, "r1"), answer


@pytest.mark.parametrize(
    ("as_of", "day"),
    [
        ("2013-11", "2013-11-01"),
        ("2013-11-04", "2013-11-04"),
        ("2013-11-04T05", "2013-11-04"),
        ("2013", "2013-01-01"),
        ("0001", "2026-11-29"),
    ],
)
def test_the_examples_times_are_of_the_newest_partition_or_of_the_day_of_the_promotion(as_of: str, day: str) -> None:
    version = {"as_of": as_of, "since": "2026-11-29T19:14:13+00:00"}
    example_row = example([Field(name="at", type="timestamp")], day=newest_day(version))
    assert example_row == {"at": f"{day}T12:00:00"}


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        (b"", 400, ""),
        (b"[" * 100_000, 422, "rows"),
        (b'{"rows":' + b"[" * 1_000_000, 422, "rows"),
        (json.dumps({**ROWS[0], "carrier": "ZZ"}).encode(), 422, "carrier"),
        (json.dumps({"rows": [ROWS[0], {**ROWS[1], "distance": True}]}).encode(), 422, "rows[1].distance"),
        (json.dumps({"rows": ROWS * 17}).encode(), 422, "rows"),
        (json.dumps({**ROWS[0], "wind_speed": float("inf")}).encode(), 422, "wind_speed"),
        (b" " * 2_000_001, 413, ""),
    ],
)
def test_a_bad_request_is_refused_by_name(running: str, body: bytes, status: int, path: str) -> None:
    answered, content = post(running, body)
    assert (answered, content["detail"][0]["path"]) == (status, path)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/livez", 200),
        ("/readyz", 200),
        ("/version", 200),
        ("/openapi.json", 200),
        ("/metrics", 200),
        ("/predict", 405),
        ("/x", 404),
    ],
)
def test_head_is_answered_at_once_as_get_is_without_a_body(running: str, path: str, status: int) -> None:
    with closing(http.client.HTTPConnection(running.removeprefix("http://"), timeout=3)) as connection:
        heads = {}
        for method in ("GET", "HEAD"):
            connection.request(method, path)
            response = connection.getresponse()
            heads[method] = response.status, response.getheader("content-type"), response.getheader("content-length")
            assert bool(response.read()) == (method == "GET")
        assert heads["HEAD"][0] == status
        assert heads["HEAD"] == heads["GET"] or path == "/metrics"  # which counted one request more
        connection.request("GET", "/livez")
        assert connection.getresponse().read() == b'{"status":"alive"}'


def test_curl_gets_the_head_of_readyz_at_once(running: str) -> None:
    argv = ["curl", "--silent", "--show-error", "--head", "--max-time", "3", f"{running}/readyz"]
    result = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert result.stdout.startswith("HTTP/1.1 200 OK")


def test_a_body_without_length_is_limited_too(running: str) -> None:
    with closing(http.client.HTTPConnection(running.removeprefix("http://"), timeout=10)) as connection:
        connection.request("POST", "/predict", (b" " * 100_000 for _ in range(21)), encode_chunked=True)
        assert connection.getresponse().status == 413


@pytest.mark.parametrize(
    ("head", "piece", "status"),
    [
        (b"Content-Length: 50000000\r\n\r\n", b" " * 100_000, b"413"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"186a0\r\n" + b" " * 100_000 + b"\r\n", b"413"),
        (b"X: ", b"a" * 100_000, b"431"),
    ],
)
def test_a_client_that_is_still_sending_when_it_is_refused_reads_why(
    running: str, head: bytes, piece: bytes, status: bytes
) -> None:
    host, port = running.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\n" + head)
        for _ in range(30):
            client.sendall(piece)
            time.sleep(0.01)
        answer = b""
        while data := client.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1") == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([v for row in ROWS[:5] for v in row.values()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ROWS[0], "rows"]), inner, max_size=7),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({name: st.just(value) | JSON for name, value in ROWS[0].items()}) | JSON)
def test_no_body_is_answered_with_a_server_error(running: str, value: Any) -> None:
    status, content = post(running, json.dumps(value).encode())
    assert status in (200, 400, 422)
    assert status == 200 or content["detail"][0]["message"]


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "scheduled_at": st.datetimes().map(lambda moment: moment.isoformat()),
            "carrier": st.sampled_from(["AA", "UA"]),
            "tailnum": st.none() | st.text(),
            "distance": st.integers(1, 6000),
            "wind_speed": st.none() | st.floats(0, allow_infinity=False, allow_nan=False),
            "is_holiday": st.booleans(),
        }
    )
)
def test_a_request_that_keeps_the_contract_is_scored_or_named_uncomputable(running: str, row: dict[str, Any]) -> None:
    status, content = post(running, json.dumps({"rows": [row, ROWS[0]]}).encode())
    assert status in (200, 422), content
    if status == 200:
        assert all(0 < p["probability"] < 1 for p in content["predictions"])
