"""What takes long to make is made once in a session, whichever worker asks first; each goes on from a copy of its own."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

_parsed: list[Path] = []


def share_parsed_projects(folder: Path) -> None:
    """From now on new homes of this process keep in this folder what dbt parsed, each project under its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    _parsed.append(folder)


def link_parsed_projects(home: Path) -> None:
    """Give a new home the folder of parsed dbt projects that the session shares."""
    (home / "cache").mkdir(parents=True)
    (home / "cache" / "dbt").symlink_to(_parsed[-1])


def parse_alone(home: Path) -> None:
    """Take the link away from a home whose own parsing is what a test is about."""
    (home / "cache" / "dbt").unlink()
    (home / "cache").rmdir()


def made_once(base: Path, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that all workers of the session share: made by the first, awaited by the others. Copy it, open nothing in it.

    `base` is the worker's own folder for the session.
    """
    folder = of_session(base) / "made-once" / name
    folder.parent.mkdir(exist_ok=True)
    marker = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            marker.touch()
    return folder


def of_session(base: Path) -> Path:
    """The folder that all workers of the session share, from the worker's own."""
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
