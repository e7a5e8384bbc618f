"""Acts that are killed at points where they meet the disk, PostgreSQL or the object store, each on a ledger of its own.

`python -m tests.support.remote_kills ACT FOLDER SERVER` prints the number of the last point. SERVER is the folder of PostgreSQL's
socket; the object store is found by the variables of S3's clients.
"""

import gc
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from ml_assets.cli.shared.workspace import Workspace
from resources.settings import settings
from resources.store.remote_blobs import RemoteBlobs
from tests.support import faults
from tests.support.postgres import new_database

SYSTEM_CALLS = ("replace",)
"""Of the disk: local files are tried by faults.py, at each of their calls."""
BUCKET = "safety"
EVERY = 6
"""Each point takes three processes with connections of their own; all points are tried on local files (faults.py)."""


def space_of(home: Path, database: str) -> Workspace:
    environ = {"ML_ASSETS_HOME": str(home), "ML_ASSETS_LEDGER": database, "ML_ASSETS_STORE": f"s3://{BUCKET}/{home.name}"}
    return Workspace(settings(environ))


def die_at(number: int) -> None:
    """Have this process kill itself at its point number `number`: before a statement, commit or rename, or around an upload."""
    points = itertools.count(1)

    def point(*_: Any) -> None:
        if next(points) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    faults._patch(point, SYSTEM_CALLS)
    event.listen(Engine, "before_cursor_execute", point)
    event.listen(Engine, "commit", point)
    upload = RemoteBlobs._write

    def spoiled(blobs: RemoteBlobs, name: str, content: bytes) -> None:
        point()
        upload(blobs, name, content)
        point()

    RemoteBlobs._write = spoiled  # type: ignore[method-assign]


def killed_everywhere(act: faults.Act, folder: Path, server: str) -> int:
    """Kill the act at every EVERY-th of its points in turn, and check what is left; the number of the last point."""
    for number in itertools.count(1, EVERY):
        home, database = folder / f"home{number}", _driven(new_database(server, f"{folder.name}-{number}"))
        assert _in_child(act.before, home, database) == 0
        ended = _in_child(lambda space, number=number: _killed(act, number, space), home, database)
        assert _in_child(act.check, home, database) == 0, f"after a kill at point {number}"
        if ended == 0:
            return number - EVERY
        assert ended == -signal.SIGKILL, f"ended with {ended} at point {number}"
    raise AssertionError


def _killed(act: faults.Act, number: int, space: Workspace) -> None:
    space.ledger.engine.connect().close()
    die_at(number)
    act.act(space)


def _driven(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def _in_child(work: Callable[[Workspace], Any], home: Path, database: str) -> int:
    child = os.fork()
    if child == 0:
        work(space_of(home, database))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def points_survived(act: str, folder: Path, *, server: str) -> int:
    """Kill one of the acts of faults.py at each of its points, in processes of their own, and check; the number of the last."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.support.remote_kills", act, str(folder), server]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


if __name__ == "__main__":
    gc.freeze()
    sys.stdout.write(str(killed_everywhere(faults.ACTS[sys.argv[1]], Path(sys.argv[2]), sys.argv[3])))
