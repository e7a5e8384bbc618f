"""A command in a process of its own, and what it took: CPU seconds of it and all it waited for, wall seconds, peak memory."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
SAMPLED_EVERY = 0.2


@dataclass(frozen=True)
class Spent:
    """`peak_mb`: the largest sum of the resident memory of all its processes seen; shared pages count in each."""

    cpu: float
    wall: float
    peak_mb: float
    output: Any


class ChildFailed(Exception):
    """A measured command ended with another exit code than it should."""


def run(module: str, arguments: Sequence[str]) -> Spent:
    """`python -m module arguments`, whose standard output is JSON. It runs in the checkout and is told to write elsewhere."""
    spent = spend([sys.executable, "-m", module, *arguments])
    return replace(spent, output=json.loads(spent.output))


def spend(argv: Sequence[str], *, environ: Mapping[str, str] | None = None, code: int = 0, cwd: Path = ROOT) -> Spent:
    """A command that has to end with this exit code; `output` is its standard output. It gets no settings but those given."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ML_ASSETS_", "PYTHONDONTWRITE"))}
    environment = {**kept, **(environ or {})}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen(argv, cwd=cwd, env=environment, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        memory = _Memory(process.pid)
        memory.start()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        memory.stop()
        out.seek(0)
        err.seek(0)
        if process.returncode != code:
            raise ChildFailed(f"{' '.join(argv)}: exit code {process.returncode}\n{err.read().decode()[-4000:]}")
        return Spent(used.ru_utime + used.ru_stime, wall, memory.peak_mb, out.read().decode())


class _Memory(threading.Thread):
    """Samples the resident memory of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak_mb = 0.0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(SAMPLED_EVERY):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self.peak_mb = max(self.peak_mb, sum(one.memory_info().rss for one in family) / 2**20)
            except psutil.NoSuchProcess:
                continue  # one of them ended between two looks

    def stop(self) -> None:
        self._ended.set()
        self.join()
