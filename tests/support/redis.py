"""A real Redis from Debian's package, on loopback."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.command_line import free_port

INSTALL = "apt-get install --no-install-recommends redis-server"


@contextmanager
def redis() -> Iterator[str]:
    """A real Redis on loopback; its URL."""
    if (program := shutil.which("redis-server")) is None:
        pytest.fail(f"Redis is not installed: `{INSTALL}`")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=20)
