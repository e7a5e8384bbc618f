"""Loads a bundle in a child process first: one that crashes or hangs CatBoost or DuckDB ends the child, not the endpoint.

The server forks a nursery while it has one thread and its libraries are imported; for each trial the nursery forks a child.
So a trial costs one load, not one start of Python, and no process forks while it has threads.
"""

import json
import os
import select
import signal
import socket
import time
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

from ml_assets.serving.release.bundle import load
from ml_assets.serving.release.bundle_files import BundleFiles, BundleRefused
from ml_assets.serving.requests.parser import Limits

SECONDS = 60.0
SLOWEST_ROW_SECONDS = 0.5


class TrialProcess:
    """Tries bundles. Make it before the process starts a thread."""

    def __init__(self, *, seconds: float = SECONDS, is_compiled: bool = True) -> None:
        """Import the libraries and fork the process that tries bundles."""
        import_libraries()
        self._seconds = seconds
        self._is_compiled = is_compiled
        self._one = Lock()
        self._socket, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            self._socket.close()
            _nursery(theirs, seconds)
        theirs.close()
        self._socket.settimeout(seconds + 10)

    def load(self, files: BundleFiles, limits: Limits) -> None:
        """Have a child load the bundle and score its golden rows. Raises BundleRefused if that fails, or takes too long."""
        digests = dict(files.digests) if files.digests is not None else None
        job = {"folder": str(files.folder), "digests": digests, "limits": asdict(limits), "is_compiled": self._is_compiled}
        try:
            with self._one:
                self._socket.sendall(json.dumps(job).encode() + b"\n")
                reply = _line(self._socket)
        except OSError as error:
            raise BundleRefused(
                f"{files.folder}: the process that tries bundles is gone ({error}): restart the server"
            ) from error
        if reply != b"ok":
            raise BundleRefused(reply.decode() or f"{files.folder}: the process that tries bundles is gone: restart the server")

    def close(self) -> None:
        """End the nursery."""
        self._socket.close()
        os.waitpid(self._pid, 0)


def import_libraries() -> None:
    """Import the libraries that loading a bundle needs, before a process forks others that load one."""
    import catboost  # noqa: F401
    import duckdb  # noqa: F401
    import sqlglot.dialects.duckdb  # noqa: F401  # sqlglot loads a dialect when it is first used, in each trial again


def _nursery(requests: socket.socket, seconds: float) -> NoReturn:
    """Try one bundle after the other until the server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes the socket
    try:
        while line := _line(requests):
            requests.sendall(_tried(json.loads(line), seconds).encode() + b"\n")
    finally:
        os._exit(0)


def _tried(job: dict[str, Any], seconds: float) -> str:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(job, writing)
    os.close(writing)
    reply = _until(reading, time.monotonic() + seconds)
    os.close(reading)
    if reply is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if reply is None:
        return f"{job['folder']}: not loaded after {seconds:g} s"
    code = os.waitstatus_to_exitcode(status)
    return reply if code == 0 and reply else f"{job['folder']}: loading it ended the process that tried it, with {code}"


def _until(reading: int, deadline: float) -> str | None:
    """All that the pipe holds until it is closed; None if that takes too long."""
    content = b""
    while (left := deadline - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        chunk = os.read(reading, 65536)
        if not chunk:
            return content.decode(errors="replace").replace("\n", " ")
        content += chunk
    return None


def _child(job: dict[str, Any], writing: int) -> NoReturn:
    reply = "failed"
    try:
        reply = _load(job)
    finally:
        os.write(writing, reply.encode()[:4000])
        os._exit(0)


def _load(job: dict[str, Any]) -> str:
    try:
        limits, is_compiled = Limits(**job["limits"]), job["is_compiled"]
        bundle = load(Path(job["folder"]), digests=job["digests"], limits=limits, is_compiled=is_compiled)
        request = json.loads((Path(job["folder"]) / "golden.json").read_bytes())["requests"][0]
        started = time.perf_counter()
        bundle.score([request])
    except BundleRefused as error:
        return str(error)
    took = time.perf_counter() - started
    return "ok" if took <= SLOWEST_ROW_SECONDS else f"{job['folder']}: scoring one row took {took:.1f} s"


def _line(from_socket: socket.socket) -> bytes:
    content = bytearray()
    while not content.endswith(b"\n"):
        chunk = from_socket.recv(65536)
        if not chunk:
            return b""
        content += chunk
    return bytes(content[:-1])
