"""A real Redis from Debian's package."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.support.command_line import free_port

INSTALL = "apt-get install --no-install-recommends redis-server"
SECONDS_TO_START = 20
OWN = ("redis-server", "--save", "", "--appendonly", "no", "--protected-mode", "no")


class Redis:
    """A server that keeps nothing on disk, and can be killed and started again. `command` is run in place of its own."""

    def __init__(self, address: str = "127.0.0.1", command: Sequence[str] = OWN) -> None:
        if (program := shutil.which("redis-server")) is None:
            pytest.fail(f"Redis is not installed: `{INSTALL}`")
        self.address, self.port = address, free_port()
        self.url = f"redis://{address}:{self.port}/0"
        self._command = [program, *command[1:], "--port", str(self.port), "--bind", address]

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._listens():
            assert self._process.poll() is None, "Redis ended"
            assert time.monotonic() < deadline, "Redis does not listen"
            time.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex((self.address, self.port)) == 0

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)


@contextmanager
def redis_server(address: str = "127.0.0.1", command: Sequence[str] = OWN) -> Iterator[Redis]:
    """A server of its own, started."""
    server = Redis(address, command)
    server.start()
    try:
        yield server
    finally:
        server.stop()
