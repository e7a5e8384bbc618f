"""The commit that the project's code was checked out at. It tells people where to look; the code digest is what counts."""

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TypedDict

SECONDS = 10


class Source(TypedDict):
    """A commit, and whether the files differed from it."""

    commit: str
    is_dirty: bool


@cache
def source(folder: Path) -> Source | None:
    """What is checked out in the folder; None where it is no git checkout of its own, or git is not there."""
    place = _git(folder, "rev-parse", "--show-toplevel", "HEAD")
    if place is None or len(place) != 2 or Path(place[0]).resolve() != folder.resolve():
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=normal")
    return None if changes is None else {"commit": place[1], "is_dirty": bool(changes)}


def _git(folder: Path, *arguments: str) -> list[str] | None:
    """The lines that git printed, or None where it failed."""
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], env=environ, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.splitlines() if done.returncode == 0 else None
