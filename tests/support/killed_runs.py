"""Runs of the path, `ml-assets run` in warm processes, each killed at a given moment if it still goes on then.

As a program it imports what a run imports, starts no thread, and forks: one run per line of its input, which is JSON: the
arguments of `ml-assets` and when to kill. It answers with how each ended. Linux only: it watches the store by inotify.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

WARM = (
    "alembic.command",
    "catboost",
    "dagster._core.instance.factory",
    "dagster._core.storage.event_log.sqlite",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon",
    "dagster_mlflow.resources",
    "dbt.adapters.duckdb",
    "dbt.cli.main",
    "duckdb",
    "evidently",
    "matplotlib.figure",
    "ml_assets.builders.report",
    "ml_assets.cli.path.run",
    "ml_assets.core.evaluation.evidently_report",
    "ml_assets.definitions",
    "ml_assets.services.mlflow_catalogue",
    "mlflow",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandera.polars",
    "polars",
    "resources.dagster_instance",
    "scipy.stats",
)
"""What a run imports on use."""
SECONDS_TO_DIE = 20
TICK_SECONDS = 0.05
IN_CREATE, IN_ISDIR = 0x100, 0x40000000
"""Of <sys/inotify.h>."""


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (minus the signal), after how many seconds and begun files in the store, what it stream."""

    code: int
    seconds: float
    writes: int
    output: str

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL


@dataclass(frozen=True)
class Runner:
    """The warm process. Each run is a fork of it, alone in a process group, all of which is killed."""

    process: subprocess.Popen[str]

    def run(self, *arguments: str, seconds: float | None = None, writes: int | None = None) -> Ended:
        """`ml-assets` with these arguments, killed after so many seconds, or as soon as it has begun so many files in the store:
        before that one is finished, most likely."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"arguments": arguments, "seconds": seconds, "writes": writes}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the runner died"
        return Ended(**json.loads(answer))


@contextlib.contextmanager
def runner(environ: Mapping[str, str], *, store: Path) -> Iterator[Runner]:
    """A warm process with this environment, that watches a store."""
    command = [sys.executable, "-m", "tests.support.killed_runs", str(store)]
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], env=dict(environ), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Runner(process)
    finally:
        process.communicate()


def _run(arguments: Sequence[str], seconds: float | None, writes: int | None, *, stream: IO[bytes], store: Path) -> Ended:
    stream.seek(0)
    stream.truncate()
    with _watch(store) as begun:
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _become(arguments, stream)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpgid(child, child)
        code = _wait(child, started + (seconds or float("inf")), begun, writes or sys.maxsize)
        took = time.monotonic() - started
        begun.read()
    _bury(child)
    stream.seek(0)
    return Ended(code, took, begun.count, stream.read().decode(errors="replace"))


@dataclass
class _Begun:
    """Counts the files that are begun in watched folders."""

    handle: int
    count: int = 0

    def wait(self, seconds: float) -> None:
        if select.select([self.handle], [], [], seconds)[0]:
            self.read()

    def read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            events = os.read(self.handle, 1 << 16)
            at = 0
            while at < len(events):
                _, mask, _, length = struct.unpack_from("iIII", events, at)
                self.count += not mask & IN_ISDIR
                at += struct.calcsize("iIII") + length


@contextlib.contextmanager
def _watch(store: Path) -> Iterator[_Begun]:
    """Every folder that a store may have is made, and watched."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert handle >= 0, os.strerror(ctypes.get_errno())
    for folder in (store / f"{number:02x}" for number in range(256)):
        folder.mkdir(parents=True, exist_ok=True)
        assert libc.inotify_add_watch(handle, os.fsencode(folder), IN_CREATE) >= 0, os.strerror(ctypes.get_errno())
    try:
        yield _Begun(handle)
    finally:
        os.close(handle)


def _become(arguments: Sequence[str], stream: IO[bytes]) -> None:
    """Be `ml-assets` from here on, to the end of the process."""
    from ml_assets.cli import cli

    os.setpgid(0, 0)
    for number in (1, 2):
        os.dup2(stream.fileno(), number)
    cli(list(arguments))


def _wait(child: int, deadline: float, begun: _Begun, writes: int) -> int:
    """The exit code of the child, which is killed with all that it started when its time is over."""
    while (left := deadline - time.monotonic()) > 0 and begun.count < writes:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        begun.wait(min(left, TICK_SECONDS))
    os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _bury(group: int) -> None:
    """Have nothing of the group left alive: not a server that was told to stop either."""
    until = time.monotonic() + SECONDS_TO_DIE
    while any(_is_of(process, group) for process in psutil.process_iter()):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        assert time.monotonic() < until
        time.sleep(0.01)


def _is_of(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.Error):
        return False


def main() -> None:
    import tempfile
    import threading

    for name in WARM:
        importlib.import_module(name)
    assert threading.active_count() == 1, [t.name for t in threading.enumerate()]
    gc.freeze()  # or each child copies all of it, to look for cycles in it
    with tempfile.TemporaryFile() as stream:
        for line in sys.stdin:
            ended = _run(**json.loads(line), stream=stream, store=Path(sys.argv[1]))
            sys.stdout.write(json.dumps(vars(ended)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
