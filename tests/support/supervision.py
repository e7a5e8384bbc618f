"""Parts that are supervised in the process of a test, and what is asked of the health port."""

import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ml_assets.core.notices import Notice
from ml_assets.services.supervision.part import Address, Part, responds
from ml_assets.services.supervision.supervisor import supervise
from ml_assets.services.supervision.watch import Watch
from tests.support.browser import eventually
from tests.support.command_line import free_port

SERVER = """
import http.server, os, sys
print("started", os.getpid(), flush=True)
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""


def health(port: int, *, address: str = "127.0.0.1") -> dict[str, Any]:
    """The report of the health port, whether all is well or not."""
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/health", timeout=20) as response:
            health_now: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        health_now = json.load(error)
    return health_now


def pids(port: int) -> dict[str, int]:
    """The process of each part that works; nothing while one doesn't."""
    health_now = health(port)
    return {part["name"]: part["pid"] for part in health_now["parts"] if part["pid"]} if health_now["is_well"] else {}


def is_over(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@dataclass
class Supervision:
    """Parts that are supervised in this process, by a thread of its own, until the test ends."""

    folder: Path
    messages: list[str] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    wrong: list[Notice] = field(default_factory=list)

    def part(self, name: str, *argv: str, needs: Path | None = None, outlived: bool = False, finishes: bool = False) -> Part:
        address = Address("127.0.0.1", free_port(), f"--{name}-port")
        command = (sys.executable, "-c", *(argv or (SERVER, str(address.port))))
        return Part(name, command, responds(address.url), address, needs=needs, outlived=outlived, finishes=finishes)

    def run(self, *parts: Part) -> None:
        """Supervise until a signal comes."""
        health = Address("127.0.0.1", self.port, "--health-port")
        watch = Watch(lambda _: self.wrong, [], self.messages.append)
        supervise(parts, health=health, logs=self.folder / "logs", environ=os.environ, tell=self.messages.append, watch=watch)

    def has_told(self, *texts: str) -> bool:
        return any(all(text in line for text in texts) for line in self.messages)


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Act in a thread while the test's own supervises; then end the supervision, and raise what went wrong in the thread."""

    def act_and_end() -> None:
        try:
            act()
        finally:
            if not over.is_set():
                os.kill(os.getpid(), signal.SIGINT)

    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act_and_end)
        try:
            yield
        finally:
            over.set()
        acting.result()


def kill_each(port: int, seconds: float) -> dict[str, int]:
    """Kill one part after the other, and see it come back while the others go on; the processes at the end."""
    before = eventually(lambda: pids(port), what="all parts", seconds=seconds)
    for name in before:
        before = another(port, name, before, seconds)
    return before


def another(port: int, name: str, before: dict[str, int], seconds: float) -> dict[str, int]:
    os.kill(before[name], signal.SIGKILL)
    eventually(lambda: pids(port).get(name, before[name]) != before[name], what=f"another {name}", seconds=seconds)
    after = pids(port)
    assert {n: pid for n, pid in after.items() if n != name} == {n: pid for n, pid in before.items() if n != name}
    return after
