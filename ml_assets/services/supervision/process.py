"""A process that leads a group of its own, so that none of its children outlives it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

TICK_SECONDS = 0.1
KILL_SECONDS = 2.0
"""How long the system may take to bury what was killed."""

Process = subprocess.Popen[bytes]


def start(argv: Sequence[str], *, log: Path, environ: Mapping[str, str], lock: int) -> Process:
    """Start the command in the log's folder; what it prints is appended to the log. It inherits the lock, an open file, which
    then names it."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environ,
            cwd=log.parent,
            start_new_session=True,
            pass_fds=[lock],
        )
    try:
        os.ftruncate(lock, 0)
        os.write(lock, str(process.pid).encode())
    except OSError:
        end([process], within=0)
        raise
    return process


def is_left(process: Process) -> bool:
    """Whether a process of the group is alive."""
    process.poll()  # a leader that ended is in its group until it is waited for
    return send(process, 0)


def send(process: Process, number: int) -> bool:
    """Send a signal to the group; False when no process is left in it."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def end(processes: Iterable[Process], *, within: float) -> None:
    """Ask every group to end, and kill what is left after `seconds`."""
    groups = list(processes)
    for process in groups:
        send(process, signal.SIGINT)
    _wait(groups, within)
    for process in groups:
        send(process, signal.SIGKILL)
        process.wait()
    _wait(groups, KILL_SECONDS)


def finish(processes: Iterable[Process], is_cut_short: Callable[[], bool]) -> None:
    """Ask each process by itself to end once its work is done, and wait for that, or until it is cut short."""
    asked = list(processes)
    for process in asked:
        process.terminate()
    while any(process.poll() is None for process in asked) and not is_cut_short():
        time.sleep(TICK_SECONDS)


def _wait(groups: list[Process], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(map(is_left, groups)):
        time.sleep(TICK_SECONDS)
