"""A lock on each part of a home, which its process holds too: what an `up` that was killed left running is not started twice."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from ml_assets.errors import MlAssetsError
from ml_assets.services.supervision.part import Part


class PartRuns(MlAssetsError):
    """Another process runs a part of the home."""


@contextmanager
def locked(parts: Sequence[Part], logs: Path) -> Iterator[dict[str, int]]:
    """The open lock of each part, by name, for its processes to inherit. Raises PartRuns that names every part that runs."""
    with ExitStack() as stack:
        files = {part.name: stack.enter_context((logs / part.log).with_suffix(".lock").open("a+")) for part in parts}
        if taken := [f"{name} (process {_content(file)})" for name, file in files.items() if not _is_locked(file.fileno())]:
            advice = "end that one, or this process, or choose other parts with --only"
            raise PartRuns(f"another `ml-assets up` runs {', '.join(taken)} of this home, or was killed and left it; {advice}")
        yield {name: file.fileno() for name, file in files.items()}


def _content(file: TextIO) -> str:
    file.seek(0)
    return file.read() or "unknown"


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
