"""Temporary files that a killed process leaves behind, and their removal while others write.

A process that writes a temporary file into a folder holds a shared lock on the folder, which ends with the process: a temporary
file in a folder that no process has locked is left over.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resources.settings import Settings, local_folder

UNFINISHED = ".writing-"
"""How the name of an unfinished file or folder begins; with a dot, so that it is ignored."""


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Keep other processes from removing the folder's unfinished files."""
    with _opened(folder) as handle:
        with suppress(OSError):  # a file system without locks: there, no process gets the other lock either
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield


@contextmanager
def unfinished_folder(parent: Path) -> Iterator[str]:
    """A private folder below `parent` that is removed after the `with`; what cannot be removed then, `clear_home` will.

    Work that is finished does not fail because its scratch folder stays.
    """
    with (
        writing_into(parent),
        tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=parent, ignore_cleanup_errors=True) as folder,
    ):
        yield folder


def clear_home(settings: Settings) -> None:
    """Remove what killed processes left unfinished in the store, at the endpoints and in the caches. Landing is not ours."""
    home = settings.home
    roots = [home / "endpoints", home / "cache"]
    if (store := local_folder(settings.store)) is not None:
        roots.append(store)
    for folder in [home, *(folder for root in roots for folder in _with_unfinished(root))]:
        clear_folder(folder)


def _with_unfinished(root: Path) -> Iterator[Path]:
    """The folders below that hold something unfinished. Folders that others remove in the meantime are skipped."""
    for folder, folders, files in os.walk(root):
        if any(name.startswith(UNFINISHED) for name in (*folders, *files)):
            yield Path(folder)
        folders[:] = [name for name in folders if not name.startswith(UNFINISHED)]


def clear_folder(folder: Path) -> None:
    """Remove the unfinished files of a folder, unless a process writes there now: then a later run will."""
    with suppress(OSError), _opened(folder) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for path in folder.glob(f"{UNFINISHED}*"):
            with suppress(OSError):  # one that cannot be removed must not keep the others
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)
