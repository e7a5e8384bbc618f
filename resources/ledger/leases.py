"""Leases of runs: a run's process renews one while it lives. Who sees that it is not renewed any more may end the run, and from
then on nothing of that run is recorded, should its process still live.

Kept next to the ledger, not in its chain: a lease says something about now.
"""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread

from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from ml_assets.errors import MlAssetsError
from resources.ledger import tables as schema

RENEW_SECONDS = 5.0
EXPIRED_SECONDS = 40.0
"""A process that renews nothing for so long is gone: several times as long as a machine may be too busy for it."""
KEPT_SECONDS = 86_400.0

_holders: dict[str, int] = {}
_lock = Lock()


class LeaseLost(MlAssetsError):
    """Somebody took this run for dead and ended it; another one may do its work by now."""


@contextmanager
def hold(engine: Engine, run: str) -> Iterator[None]:
    """Hold the lease of a run, once for all that hold it in this process."""
    with _lock:
        _holders[run] = _holders.get(run, 0) + 1
        is_first = _holders[run] == 1
    stop = Event()
    thread = Thread(target=_renew_until, args=(engine, run, stop), name=f"lease {run[:8]}", daemon=True)
    if is_first:
        _take(engine, run)
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if is_first:
            thread.join()
        with _lock:
            _holders[run] -= 1


def expired(engine: Engine, run: str) -> float | None:
    """For how many seconds the lease of a run was not renewed, where that is too long; None while it holds, or without one."""
    with engine.connect() as connection:
        renewed = connection.scalar(select(schema.leases.c.renewed_at).where(schema.leases.c.run == run))
    silent = time.time() - renewed if renewed is not None else 0.0
    return silent if silent > EXPIRED_SECONDS else None


def left_by_a_dead_process(engine: Engine, run: str) -> bool:
    """Whether the process that held the lease of a run was one of this machine and is dead: nobody has to wait for the lease
    then. False where that cannot be seen from here."""
    with engine.connect() as connection:
        holder = connection.scalar(select(schema.leases.c.holder).where(schema.leases.c.run == run))
    place, _, pid = str(holder or "").rpartition(":")
    return bool(place) and place == _here() and not _is_alive(int(pid))


def is_known(engine: Engine, run: str) -> bool:
    """Whether the run ever held a lease."""
    with engine.connect() as connection:
        return connection.scalar(select(schema.leases.c.run).where(schema.leases.c.run == run)) is not None


def revoke(engine: Engine, run: str) -> None:
    """Let nothing more of the run be recorded."""
    with engine.begin() as connection:
        if connection.execute(update(schema.leases).where(schema.leases.c.run == run).values(is_revoked=1)).rowcount == 0:
            row = {"run": run, "holder": "", "renewed_at": 0.0, "is_revoked": 1}
            connection.execute(insert(schema.leases).values(**row))


def refuse_revoked(connection: Connection, run: str) -> None:
    """Raise LeaseLost if the lease of the run was revoked."""
    if connection.scalar(select(schema.leases.c.is_revoked).where(schema.leases.c.run == run)):
        raise LeaseLost(
            f"run {run} was ended because its process renewed no lease for {EXPIRED_SECONDS:g} s; nothing more of it is "
            f"recorded, and its partition is run again"
        )


def _take(engine: Engine, run: str) -> None:
    columns, now = schema.leases.c, time.time()
    with engine.begin() as connection:
        refuse_revoked(connection, run)
        connection.execute(delete(schema.leases).where(columns.renewed_at < now - KEPT_SECONDS))
        row = {"holder": f"{_here()}:{os.getpid()}", "renewed_at": now}
        if connection.execute(update(schema.leases).where(columns.run == run).values(**row)).rowcount == 0:
            connection.execute(insert(schema.leases).values(run=run, is_revoked=0, **row))


def _here() -> str:
    """Where a process number says something: this machine since it was started, and of it the processes that see each other."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not (boot.is_file() and namespace.exists()):
        return socket.gethostname()
    return f"{socket.gethostname()} {boot.read_text().strip()} {namespace.readlink()}"


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that its parent has not asked about does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:  # it ended a moment ago, or this system has no such file
        return not stat.parent.parent.is_dir()


def _renew_until(engine: Engine, run: str, stop: Event) -> None:
    columns = schema.leases.c
    while not stop.wait(RENEW_SECONDS):
        try:
            with engine.begin() as connection:
                connection.execute(update(schema.leases).where(columns.run == run).values(renewed_at=time.time()))
        except DBAPIError as error:  # the next one may come through; if none does, the lease expires
            logging.getLogger(__name__).warning("the lease of run %s was not renewed: %s", run, error.orig)
