"""Answers that are ready together are sent together, whole and in order; none waits for anything else."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from select import select
from typing import Any

import pytest
import uvicorn
import uvloop

from ml_assets.serving.http.uvicorn_protocol import MOST_HEAD_BYTES, PatientProtocol

ASK = b"%s /%d HTTP/1.1\r\nHost: x\r\n%s\r\n"
PATIENCE = 3
"""Seconds: less than after which uvicorn closes a connection on which nothing happens, and so sends what was held."""
ABORTED = "/999"
WITHOUT_BODY = (204, 304)
"""Asked for one of these, the application answers with it as its status."""
CLOSE = b"Connection: close\r\n"


class Served:
    """A server that answers when `together` requests have come, and looks after each answer whether its client has got it."""

    def __init__(self, together: int) -> None:
        self.together = together
        self.address = ("", 0)
        self.clients: dict[int, socket.socket] = {}
        self.had_answer: list[bool] = []
        self.troubles: list[Any] = []
        self.go = asyncio.Event()
        self.looked = threading.Event()
        self.loop = asyncio.get_running_loop()
        self._came = 0
        config = uvicorn.Config(self._app, http=PatientProtocol, interface="asgi3", lifespan="off", port=0, log_level="error")
        self.server = uvicorn.Server(config)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self._came += 1
        if self._came == self.together:
            self.go.set()
        await self.go.wait()
        if (status := int(scope["path"][1:])) in WITHOUT_BODY:
            await send({"type": "http.response.start", "status": status})
            await send({"type": "http.response.body"})
        else:
            body = scope["path"].encode() * 1000
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
            await send({"type": "http.response.body", "body": body[:5], "more_body": True})
            await send({"type": "http.response.body", "body": body[5:]})
        self.had_answer.append(self._has_something(scope["client"][1]))
        if len(self.had_answer) == self.together:
            self.looked.set()
        if scope["path"] == ABORTED:
            self._abort(scope["client"])

    def _has_something(self, port: int) -> bool:
        client = self.clients[port]
        return client.fileno() >= 0 and bool(select([client], [], [], 0.01)[0])  # what is sent is there nearly at once

    def _abort(self, client: tuple[str, int]) -> None:
        for connection in self.server.server_state.connections:
            if isinstance(connection, PatientProtocol) and connection.client == client:
                connection.transport.abort()

    def connect(self, count: int) -> list[socket.socket]:
        clients = [socket.create_connection(self.address, timeout=PATIENCE) for _ in range(count)]
        self.clients |= {client.getsockname()[1]: client for client in clients}
        return clients

    def deliver(self, client: socket.socket, data: bytes) -> None:
        """Have the server receive these bytes of a client at once, however the kernel would cut them."""
        protocols = (connection for connection in self.server.server_state.connections if isinstance(connection, PatientProtocol))
        protocol = next(protocol for protocol in protocols if protocol.client == client.getsockname())

        async def receive() -> None:
            protocol.data_received(data)

        asyncio.run_coroutine_threadsafe(receive(), self.loop).result(PATIENCE)

    def is_told(self, record: logging.LogRecord) -> bool:
        """Keep an error that uvicorn logs."""
        self.troubles.append(record.getMessage())
        return True

    def answer(self) -> None:
        self.loop.call_soon_threadsafe(self.go.set)


def served(together: int, work: Callable[[Served], None]) -> Served:
    """Work, in a thread, with a running server; what went wrong in its event loop or an application fails the test."""

    async def run() -> Served:
        running = Served(together)
        logging.getLogger("uvicorn.error").addFilter(listener := running.is_told)
        running.loop.set_exception_handler(lambda _, context: running.troubles.append(context))
        serving = asyncio.create_task(running.server.serve())
        while not running.server.started:
            await asyncio.sleep(0.01)
        running.address = running.server.servers[0].sockets[0].getsockname()
        try:
            await asyncio.to_thread(work, running)
        finally:
            running.answer()
            running.server.should_exit = True
            await serving
            logging.getLogger("uvicorn.error").removeFilter(listener)
        return running

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        running = runner.run(run())
    for client in running.clients.values():
        client.close()
    assert running.troubles == []
    return running


def ask(client: socket.socket, *numbers: int, method: bytes = b"GET", more: bytes = b"") -> None:
    client.sendall(b"".join(ASK % (method, number, more) for number in numbers))


def answers(client: socket.socket, *numbers: int) -> None:
    """Read whole answers to these requests, in this order."""
    got = b""
    for number in numbers:
        expected = b"/%d" % number * 1000
        while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < len(expected):
            more = client.recv(100_000)
            assert more, got
            got += more
        head, _, rest = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert rest[: len(expected)] == expected
        got = rest[len(expected) :]
    assert got == b""


@pytest.mark.parametrize("together", [1, 2, 40])
def test_no_answer_is_sent_before_all_that_are_ready_are_made(together: int) -> None:
    def work(running: Served) -> None:
        clients = running.connect(together)
        for number, client in enumerate(clients):
            ask(client, number)
        assert running.looked.wait(PATIENCE)
        for again in range(3):
            for number, client in enumerate(clients):
                answers(client, number)
            for number, client in enumerate(clients if again < 2 else []):
                ask(client, number)

    assert served(together, work).had_answer[:together] == [False] * together


@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize(("method", "number"), [(b"HEAD", 1), *((b"GET", status) for status in WITHOUT_BODY)])
def test_an_answer_without_a_body_is_sent_at_once(method: bytes, number: int, together: int) -> None:
    def work(running: Served) -> None:
        clients = running.connect(together)
        for client in clients:
            ask(client, number, method=method)
        for client in clients:
            head = client.recv(100_000)
            assert head.startswith(b"HTTP/1.1 %d " % (number if number in WITHOUT_BODY else 200))
            assert head.endswith(b"\r\n\r\n")
            ask(client, 2)
            answers(client, 2)

    served(together, work)


def test_an_answer_that_ends_its_connection_is_whole() -> None:
    def work(running: Served) -> None:
        clients = running.connect(5)
        for number, client in enumerate(clients):
            ask(client, number, more=CLOSE if number % 2 else b"")
        for number, client in enumerate(clients):
            answers(client, number)
        assert [client.recv(1) for client in clients[1::2]] == [b"", b""]

    served(5, work)


def test_requests_in_a_row_on_one_connection_are_answered_in_order() -> None:
    def work(running: Served) -> None:
        one, other = running.connect(2)
        ask(one, 1, 2, 3)
        ask(other, 4)
        answers(other, 4)
        answers(one, 1, 2, 3)

    served(2, work)


def test_a_client_that_is_gone_costs_the_others_nothing() -> None:
    def work(running: Served) -> None:
        clients = running.connect(4)
        for number, client in enumerate(clients):
            ask(client, number)
        clients[1].close()
        time.sleep(0.1)
        running.answer()
        for number in (0, 2, 3):
            answers(clients[number], number)

    served(5, work)


def test_a_connection_that_ends_before_its_answer_is_sent_costs_the_others_nothing() -> None:
    def work(running: Served) -> None:
        clients = running.connect(3)
        for client, number in zip(clients, (0, 999, 2), strict=True):
            ask(client, number)
        for number in (0, 2):
            answers(clients[number], number)
        with suppress(ConnectionError):
            assert clients[1].recv(1) == b""

    served(3, work)


@pytest.mark.parametrize("others", [0, 2])
def test_a_connection_that_was_refused_before_its_answer_is_ready_costs_the_others_nothing(others: int) -> None:
    def work(running: Served) -> None:
        refused, *clients = running.connect(1 + others)
        ask(refused, 0)
        refused.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * (MOST_HEAD_BYTES + 1))
        time.sleep(0.2)
        for number, client in enumerate(clients):
            ask(client, number)
        time.sleep(0.1)
        running.answer()
        for number, client in enumerate(clients):
            answers(client, number)
        assert refused.recv(100).startswith(b"HTTP/1.1 431 ")
        time.sleep(0.1)

    served(2 + others, work)


LARGE = b"a\r\n\r\n" * (MOST_HEAD_BYTES // 2)
POSTS = {
    "length": b"Content-Length: %d\r\n\r\n%s" % (len(LARGE), LARGE),
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(LARGE), LARGE),
    "plain": b"Content-Length: %d\r\n\r\n%s" % (2 * MOST_HEAD_BYTES, b"a" * 2 * MOST_HEAD_BYTES),
}


@pytest.mark.parametrize("body", POSTS)
def test_a_head_that_begins_behind_a_large_body_counts_alone(body: str) -> None:
    def work(running: Served) -> None:
        client, refused = running.connect(2)
        ask(client, 0)
        ask(refused, 0)
        answers(client, 0)
        answers(refused, 0)
        for connection in (client, refused):
            running.deliver(connection, b"POST /1 HTTP/1.1\r\nHost: x\r\n" + POSTS[body] + b"GET /2 HTTP/1.1\r\nX: a")
        client.sendall(b"\r\n\r\n")
        answers(client, 1, 2)
        answers(refused, 1)
        refused.sendall(b"a" * (MOST_HEAD_BYTES + 1))
        assert refused.recv(100).startswith(b"HTTP/1.1 431 ")

    served(2, work)


def test_a_server_that_stops_sends_what_was_ready() -> None:
    def work(running: Served) -> None:
        clients = running.connect(3)
        for number, client in enumerate(clients):
            ask(client, number)
        time.sleep(0.1)
        running.server.should_exit = True
        time.sleep(0.3)
        running.answer()
        for number, client in enumerate(clients):
            answers(client, number)

    served(4, work)
