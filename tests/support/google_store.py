"""Google's storage over HTTP: an emulator in a process of its own, with one bucket."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.browser import eventually
from tests.support.command_line import free_port

BUCKET = "machines"


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def google_store() -> Iterator[dict[str, str]]:
    """The variables by which its clients find it."""
    port = free_port()
    options = ["--host=127.0.0.1", f"--port={port}", "--in-memory", f"--default-bucket={BUCKET}", "--quiet"]
    server = subprocess.Popen([sys.executable, "-m", "gcp_storage_emulator", "start", *options])
    try:
        eventually(lambda: listens(port), what="the emulator", seconds=60)
        yield {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
    finally:
        server.kill()
        server.wait()
