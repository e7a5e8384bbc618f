"""Several workers of one server: processes that share a port, and the memory of the libraries they were forked with.

The parent process serves nothing. It forks the workers, replaces one that dies, and ends on a signal. Each worker
listens with a socket of its own (SO_REUSEPORT), once its model is loaded: the kernel spreads connections over those that listen.
"""

import atexit
import gc
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ml_assets.errors import MlAssetsError
from ml_assets.serving.http.api_keys import peer_key
from ml_assets.serving.http.listen_address import ListenAddress, announce, listen, url_of
from ml_assets.serving.http.peer_workers import Peers
from ml_assets.serving.release.trial_process import import_libraries

TICK_SECONDS = 0.2
SHORT_LIFE_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
"""Well under the time that a reload waits for a worker that starts."""
_log = logging.getLogger(__name__)
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)


class WorkersRefused(MlAssetsError):
    """The operating system cannot run several workers."""


def fork_workers(count: int, place: ListenAddress) -> tuple[ListenAddress, Peers]:
    """Fork workers and return in each of them, with its place; the calling process stays inside until a signal, then exits.

    Call it before anything starts a thread. The workers share the memory of what is imported by then. The ready file is written
    once all workers serve. With a ready file, all end with the parent of the calling process. Raises WorkersRefused, and
    PortTaken if something listens on the port.
    """
    if not sys.platform.startswith("linux"):
        raise WorkersRefused("several workers need Linux: start one server on each of several ports, behind a proxy")
    holder = listen(place.host, place.port)  # not shared yet: fails if any other server has the port
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    import_libraries()
    gc.collect()
    gc.freeze()  # the collector would write to the objects' pages, and the workers would no longer share them
    atexit.register(gc.unfreeze)  # otherwise DuckDB reports the rest as a leak at exit, in about fifty lines of stderr
    folder = Path(tempfile.mkdtemp(prefix="ml-assets-workers-"))
    parent = _Parent(holder, [_own_listener() for _ in range(count)], folder, place.ready_file)
    worker = parent.run()
    if worker is not None:
        return worker
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(parent.code)


def _own_listener() -> socket.socket:
    listener = listen("127.0.0.1", 0)
    listener.listen()  # so that requests wait while its worker starts
    return listener


@dataclass
class _Worker:
    """One worker's place, and the process that has it now."""

    number: int
    own: socket.socket
    ready_file: Path
    pid: int | None = None
    started_at: float = 0.0
    starts_at: float = 0.0
    pause: float = FIRST_PAUSE_SECONDS


@dataclass
class _Parent:
    """Forks the workers, waits for signals, and replaces workers that die."""

    holder: socket.socket
    listeners: list[socket.socket]
    folder: Path
    ready_file: Path | None
    code: int = 0
    is_ending: bool = False
    is_ready: bool = False
    workers: list[_Worker] = field(init=False)

    def __post_init__(self) -> None:
        numbered = enumerate(self.listeners, start=1)
        self.workers = [_Worker(number, own, self.folder / f"{number}.json") for number, own in numbered]
        self._key, self._own_key = peer_key()
        self._above = os.getppid() if self.ready_file else None

    def run(self) -> tuple[ListenAddress, Peers] | None:
        """Return, in each worker, its place and peers; None in the parent, at the end."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while True:
            for worker in self._due():
                if not self._fork(worker):
                    return self._place(worker)
            received = signal.sigtimedwait(_SIGNALS, TICK_SECONDS)
            if received is not None and received.si_signo != signal.SIGCHLD:
                self._end()
            if self._above is not None and os.getppid() != self._above:
                self._end()
            self._bury()
            self._announce()
            if self.is_ending and not any(worker.pid for worker in self.workers):
                return None

    def _due(self) -> Iterator[_Worker]:
        now = time.monotonic()
        return (worker for worker in self.workers if worker.pid is None and worker.starts_at <= now and not self.is_ending)

    def _fork(self, worker: _Worker) -> bool:
        """Whether this is still the parent."""
        sys.stdout.flush()
        sys.stderr.flush()
        worker.ready_file.unlink(missing_ok=True)
        worker.pid, worker.started_at = os.fork() or None, time.monotonic()
        return worker.pid is not None

    def _place(self, worker: _Worker) -> tuple[ListenAddress, Peers]:
        host, port = self.holder.getsockname()[:2]
        self.holder.close()
        urls = {}
        for other in self.workers:
            if other is not worker:
                urls[other.number] = url_of(other.own)
                other.own.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return ListenAddress(host, port, worker.ready_file, worker.own), Peers(worker.number, urls, self._key, self._own_key)

    def _bury(self) -> None:
        """Take note of the workers that ended."""
        while (ended := _ended()) is not None:
            pid, code = ended
            worker = next(worker for worker in self.workers if worker.pid == pid)
            worker.pid = None
            if self.is_ready:
                self._put_off(worker, f"worker {worker.number} ({pid}) {_end_of(code)}")
            elif not self.is_ending:  # it never served: its error is on stderr, and would come again
                self.code = code if code > 0 else 1
                self._end()

    def _put_off(self, worker: _Worker, what: str) -> None:
        """Start it again after a pause, which doubles while its processes die early."""
        if self.is_ending:
            return
        is_short = time.monotonic() - worker.started_at < SHORT_LIFE_SECONDS
        worker.pause = min(LONGEST_PAUSE_SECONDS, 2 * worker.pause) if is_short else FIRST_PAUSE_SECONDS
        worker.starts_at = time.monotonic() + worker.pause
        _log.warning("%s; another starts in %g s", what, worker.pause)

    def _announce(self) -> None:
        if not self.is_ready and all(worker.ready_file.exists() for worker in self.workers):
            self.is_ready = True
            if self.ready_file:
                announce(self.ready_file, self.holder)

    def _end(self) -> None:
        """Have the workers answer what they accepted, and end: by SIGTERM, as a second SIGINT would mean at once."""
        self.is_ending = True
        for worker in self.workers:
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGTERM)


def _ended() -> tuple[int, int] | None:
    """A process that ended, and its exit code, negative for the signal that ended it."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, os.waitstatus_to_exitcode(status)) if pid else None


def _end_of(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
