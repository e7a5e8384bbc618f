"""Too many, too slow, too stuck: the endpoint refuses what it cannot take, and answers the rest."""

import asyncio
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ml_assets.serving.http.admission import Client
from ml_assets.serving.http.api_keys import new_key, parse_keys
from ml_assets.serving.log import writer
from ml_assets.serving.log.writer import PredictionLog
from tests.support.in_process import app_of, ask, within
from tests.support.serving_store import Store, payload, requests, store_of_one

ROWS = payload(requests(40, seed=31))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store_of_one(tmp_path_factory.mktemp("home"))


def test_more_rows_than_may_wait_are_refused_at_once_with_a_time_to_come_back(store: Store, tmp_path: Path) -> None:
    app = app_of(store, PredictionLog(tmp_path), most_waiting_rows=50, most_per_client=1000)
    body = json.dumps({"rows": ROWS[:10]}).encode()

    async def work() -> Any:
        answers = await asyncio.gather(*(ask(app, body) for _ in range(20)))
        return answers, await ask(app, b"", path="/metrics", method="GET")

    answers, metrics = within(app, work)
    statuses = [status for status, _, _ in answers]
    assert (statuses.count(200), statuses.count(503)) == (5, 15)
    assert all(headers[b"retry-after"] == b"1" for status, _, headers in answers if status == 503)
    assert 'reason="overloaded"} 15' in metrics[1]
    assert within(app, lambda: ask(app, body))[0] == 200


def test_one_client_cannot_take_all_places(store: Store, tmp_path: Path) -> None:
    app = app_of(store, PredictionLog(tmp_path), most_per_client=4)
    body = json.dumps(ROWS[0]).encode()
    answers = within(app, lambda: asyncio.gather(*(ask(app, body, client="ab"[n % 10 == 9]) for n in range(20))))
    by_client = {client: [answers[n][0] for n in range(20) if ("ab"[n % 10 == 9]) == client] for client in "ab"}
    assert (by_client["a"].count(200), by_client["a"].count(429), by_client["b"]) == (4, 14, [200, 200])
    assert all(headers[b"retry-after"] == b"1" for status, _, headers in answers if status == 429)
    assert not app.state.admission.under_way


def test_an_encoded_body_is_refused_and_the_connection_closes(store: Store, tmp_path: Path) -> None:
    app, body = app_of(store, PredictionLog(tmp_path)), json.dumps(ROWS[0]).encode()
    answers = within(app, lambda: asyncio.gather(*(ask(app, body, encoding=encoding) for encoding in ("gzip", "identity", ""))))
    assert [status for status, *_ in answers] == [415, 200, 200]
    assert "encoded as 'gzip'" in answers[0][1]["detail"][0]["message"]
    assert answers[0][2][b"connection"] == b"close"


def test_keys_guard_predictions_and_the_operator_routes(store: Store, tmp_path: Path) -> None:
    (predict, line), (admin, more) = new_key("predict"), new_key("admin")
    moved: list[tuple[str | None, Client, str]] = []
    app = app_of(
        store, PredictionLog(tmp_path), keys=parse_keys(f"{line}\n{more}:ops"), roll_back=lambda *calls: moved.append(calls)
    )
    body = json.dumps(ROWS[0]).encode()

    async def work() -> list[int]:
        calls = [("/predict", body, key) for key in ("", predict, admin)]
        calls += [(path, b"", key) for path in ("/reload", "/rollback") for key in ("", predict, admin)]
        return [(await ask(app, content, path=path, key=key))[0] for path, content, key in calls]

    assert within(app, work) == [401, 200, 200, 401, 403, 200, 401, 403, 200]
    ((release, client, reason),) = moved
    assert (release, client.name, reason) == (None, "ops", "rolled back over HTTP")


def test_an_error_of_ours_fails_its_own_batch_alone(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of(store, PredictionLog(tmp_path))
    body = json.dumps(ROWS[0]).encode()

    async def work() -> list[int]:
        serving = app.state.serving()
        with monkeypatch.context() as patched:
            patched.setattr(serving.bundle.observed, "add", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await ask(app, body)
        return [(await ask(app, body))[0] for _ in range(2)]

    assert within(app, work) == [200, 200]


def test_a_log_that_hangs_delays_no_answer_and_no_stop(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    log = PredictionLog(tmp_path / "log", most_waiting_bytes=50_000, stop_seconds=0.2)
    monkeypatch.setattr(writer, "put", lambda *_, **__: stuck.wait(20))
    app = app_of(store, log)
    body = json.dumps({"rows": ROWS[:10]}).encode()

    async def work() -> tuple[list[int], float]:
        started, statuses = time.monotonic(), []
        for _ in range(30):
            statuses.append((await ask(app, body))[0])
            await asyncio.sleep(0.005)
        return statuses, time.monotonic() - started

    statuses, seconds = within(app, work)
    assert statuses == [200] * 30
    assert seconds < 5
    started = time.monotonic()
    log.close()
    assert time.monotonic() - started < 2
    assert log.lost + log.written == 300
    stuck.set()


@pytest.mark.long
def test_slow_clients_are_given_up_and_others_are_answered_meanwhile(store: Store, tmp_path: Path) -> None:
    from tests.serving.test_server import Started

    ready = tmp_path / "ready.json"
    argv = [*store.argv, "--client-seconds", "1", "--ready-file", str(ready)]
    with Started(argv, ready) as base_url:
        host, _, port = base_url.removeprefix("http://").partition(":")
        beginnings = [
            b"",
            b"POST /predict HT",
            b"POST /predict HTTP/1.1\r\nhost: x\r\n",
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
            b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
        ]
        slow = [socket.create_connection((host, int(port)), timeout=8) for _ in beginnings for _ in range(10)]
        for number, connection in enumerate(slow):
            connection.sendall(beginnings[number // 10])
        from tests.support.serving_store import post

        assert post(base_url, json.dumps(ROWS[0]).encode())[0] == 200
        texts = [answer_of(connection) for connection in slow]
        assert all(text == b"" for text in texts[:10])
        assert all(text.startswith(b"HTTP/1.1 408") for text in texts[20:])
        assert post(base_url, json.dumps(ROWS[0]).encode())[0] == 200


@pytest.mark.long
def test_a_client_that_takes_no_answer_is_given_up_and_others_are_answered(store: Store, tmp_path: Path) -> None:
    from tests.serving.test_server import Started
    from tests.support.serving_store import post

    ready = tmp_path / "ready.json"
    server = Started([*store.argv, "--client-seconds", "1", "--ready-file", str(ready)], ready)
    with server as base_url, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # else the system takes many answers for it
        host, _, port = base_url.removeprefix("http://").partition(":")
        client.connect((host, int(port)))

        def is_connected() -> bool:
            there = psutil.Process(server.process.pid).net_connections()
            return any(connection.raddr and connection.raddr.port == client.getsockname()[1] for connection in there)

        for _ in range(20):
            client.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n" * 100)  # whole requests: it is not still asking
        time.sleep(0.5)
        assert is_connected()
        until = time.monotonic() + 10
        while is_connected():
            assert time.monotonic() < until
            time.sleep(0.1)
        assert post(base_url, json.dumps(ROWS[0]).encode())[0] == 200


def answer_of(connection: socket.socket) -> bytes:
    with connection:
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
        return answer
