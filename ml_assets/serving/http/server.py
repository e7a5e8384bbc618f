"""Runs the endpoint on uvicorn: announces its port, and stops without dropping a request."""

import asyncio
import atexit
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from ml_assets.serving.http.listen_address import ListenAddress, announce, url_of
from ml_assets.serving.http.uvicorn_protocol import PatientProtocol

DRAIN_SECONDS = 0.5
CLIENT_SECONDS = 10.0
"""How long a client may take to send its request, or to read its answer."""
MOST_CONNECTIONS = 2000
GC_THRESHOLDS = (20_000, 50, 1000)
"""Requests leave few cycles to collect; Python's default, every 700 objects, costs 8 % of the time."""
SWITCH_SECONDS = 0.0003
"""How long another thread (the log's, a shadow's) may keep the interpreter from the event loop; Python's default is 5 ms."""


def run(
    app: Any,
    place: ListenAddress,
    *,
    drain: Callable[[], None] = lambda: None,
    drain_seconds: float = DRAIN_SECONDS,
    client_seconds: float = CLIENT_SECONDS,
    listening: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve an ASGI app until SIGTERM, SIGINT or, with a ready file, the end of the parent process. Raises PortTaken.

    On a signal `drain` is called, which drops readiness; `drain_seconds` later the socket closes, and accepted requests are
    answered. `listening` is called with the URL of the socket, before the app starts.
    """
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        loop="auto",
        lifespan="on",
        access_log=False,
        log_level="error",  # a warning for every malformed request would let clients fill the log
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=int(client_seconds) + 5,
    )
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()  # the libraries are never garbage: a collection after a swap looks at bundles alone
    atexit.register(gc.unfreeze)  # otherwise DuckDB reports the rest as a leak at exit, in about fifty lines of stderr
    sys.setswitchinterval(SWITCH_SECONDS)
    listeners = place.listeners()
    listening(url_of(listeners[0]))
    server = _Server(config, drain=drain, drain_seconds=drain_seconds, client_seconds=client_seconds, ready_file=place.ready_file)
    server.run(sockets=listeners)


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain: Callable[[], None],
        drain_seconds: float,
        client_seconds: float,
        ready_file: Path | None,
    ) -> None:
        super().__init__(config)
        self._drop_readiness = drain
        self._client_seconds = client_seconds
        self._drain_seconds = drain_seconds
        self._ready_file = ready_file
        self._parent = os.getppid() if ready_file else None
        self._closes_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._ready_file and sockets:
            announce(self._ready_file, sockets[0])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: drain. A second interrupt: stop now, as uvicorn does."""
        if self._closes_at is not None and sig == signal.SIGINT:
            self.force_exit = True
        self._drain()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: give up on clients that take too long. Return whether to close the socket."""
        if self._parent is not None and os.getppid() != self._parent:
            self._drain()
        now = asyncio.get_running_loop().time()
        for connection in list(self.server_state.connections):
            if isinstance(connection, PatientProtocol):
                connection.close_if_waiting(longer_than=self._client_seconds, now=now)
        is_over = self._closes_at is not None and time.monotonic() >= self._closes_at
        return await super().on_tick(counter) or is_over

    def _drain(self) -> None:
        if self._closes_at is None:
            self._drop_readiness()
            self._closes_at = time.monotonic() + self._drain_seconds
