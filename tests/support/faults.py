"""Faults at every point where a write meets the system or the database. As a program: an act, killed at each such point.

`python -m tests.support.faults ACT FOLDER` runs one of ACTS in a new home per point, each time in a process that kills
itself there, then runs the act's own check on what is left. Prints how many points there were.
"""

import errno
import gc
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError

import resources.lineage  # noqa: F401  once here, not in every child
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Output
from ml_assets.services.verify.home import verify
from resources.endpoints import pointer as pointers
from resources.ledger.erasure import ErasureRefused, erase
from resources.settings import settings
from tests.support.records import broken, recipe, release, serves

SYSTEM_CALLS = ("open", "mkdir", "chmod", "fsync", "replace")
FULL_DISK, BROKEN_DISK = errno.ENOSPC, errno.EIO


@contextmanager
def disk_fails(*, at: int, code: int) -> Iterator[list[str]]:
    """The call number `at` to the disk raises an OSError, and every later one that writes; yields the calls so far."""
    calls: list[str] = []

    def point(name: str) -> None:
        calls.append(name)
        if len(calls) >= at:
            raise OSError(code, os.strerror(code))

    originals = {name: getattr(os, name) for name in SYSTEM_CALLS}
    _patch(point)
    try:
        yield calls
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


def die_at(number: int, *, names: Sequence[str] = SYSTEM_CALLS) -> None:
    """Have this process kill itself before its call number `number` to the disk or the database."""
    calls = itertools.count(1)

    def point(*_: Any) -> None:
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    _patch(point, names)
    event.listen(Engine, "before_cursor_execute", point)
    event.listen(Engine, "commit", point)


def _patch(point: Callable[[str], None], names: Sequence[str] = SYSTEM_CALLS) -> None:
    for name in names:
        setattr(os, name, _faulty(name, getattr(os, name), point))


def _faulty(name: str, original: Callable[..., Any], point: Callable[[str], None]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        point(name)
        return original(*args, **kwargs)

    return call


@dataclass(frozen=True)
class Act:
    """What is done, from which state, and what must hold whether or not it came to its end."""

    before: Callable[[Workspace], None]
    act: Callable[[Workspace], None]
    check: Callable[[Workspace], None]
    is_opening: bool = False
    """Whether opening the ledger is part of the act: many statements of one transaction, of which every 5th is tried."""


OLD, NEW = recipe(code="old"), recipe(code="new")
FIRST, SECOND = release("first", "2013-01"), release("second", "2013-02")


def build(name: str) -> Output:
    return Output({f"{name}.txt": name.encode(), "both.txt": b"both"}, {"rows": 1})


def nothing(space: Workspace) -> None:
    space.settings.home.mkdir()


def append(space: Workspace) -> None:
    space.ledger.append("refusal", {"reasons": []})


def one_entry_at_most(space: Workspace) -> None:
    """A ledger that was killed while it was made is made on the next use."""
    assert len(space.ledger.entries()) <= 1
    append(space)
    assert broken(space.ledger) == []


def make_old(space: Workspace) -> None:
    space.lineage.make(OLD, lambda: build("old"), run="r")


def make_new(space: Workspace) -> None:
    space.lineage.make(NEW, lambda: build("new"), run="r")


def old_or_new_stands(space: Workspace) -> None:
    """What stands is whole; making it again ends where an undisturbed run does, with one manifest per recipe."""
    current = space.ledger.current("trains", "dataset", "2013-01")
    assert current is not None
    assert current.recipe.key in (OLD.key, NEW.key)
    old = space.ledger.by_key(OLD.key)
    assert old is not None
    assert space.snapshots.is_intact(current.snapshot)
    assert space.snapshots.read(old.snapshot, "old.txt") == b"old"
    for _ in range(2):
        make_new(space)
    current = space.ledger.current("trains", "dataset", "2013-01")
    assert current is not None
    assert space.snapshots.read(current.snapshot, "new.txt") == b"new"
    kinds = [entry.kind for entry in space.ledger.entries()]
    assert kinds == ["manifest", "publication"] * 2
    assert broken(space.ledger) == []


def first_answers(space: Workspace) -> None:
    space.ledger.publish(SECOND, run="r")
    serves(space, FIRST)


def promote_second(space: Workspace) -> None:
    serves(space, SECOND)


def roll_back(space: Workspace) -> None:
    space.endpoints.rollback("trains", to=None, by="me", reason="a test")


def second_answers(space: Workspace) -> None:
    serves(space, FIRST, SECOND)


def one_of_two_answers(space: Workspace) -> None:
    """The pointer file is whole at any time, and after `settle` it says what the ledger says."""
    file = space.endpoints.file("trains", "production")
    pointer = pointers.read(file)
    assert pointer is not None
    assert pointer.release in ("first", "second")
    entry = space.ledger.pointer("trains", "production")
    assert entry is not None
    settled = space.endpoints.settle("trains", "production")
    assert settled is not None
    assert settled == pointers.read(file)
    assert (settled.release, settled.since) == (entry.body.release, entry.at)
    assert broken(space.ledger) == []
    entries = len(space.ledger.entries())
    assert space.endpoints.settle("trains", "production") == settled
    assert len(space.ledger.entries()) == entries


def refuse_three_times(space: Workspace) -> None:
    for number in range(3):
        space.ledger.append("refusal", {"by": f"Ann {number}", "reasons": []})


def erase_second(space: Workspace) -> None:
    erase(space.ledger, 2, by="ben", reason="asked for it")


def erased_or_whole(space: Workspace) -> None:
    """The body is there, or gone with an entry that says so; erasing again ends where an undisturbed run does."""
    with suppress(ErasureRefused):
        erase_second(space)
    kinds = [entry.kind for entry in space.ledger.entries()]
    assert kinds == ["refusal"] * 3 + ["erasure"]
    assert broken(space.ledger) == []
    space.ledger.close()
    checked = verify(space.settings)
    assert [(one.where, one.is_note) for one in checked.discrepancies if one.where != "ledger ledger.db"] == [
        ("ledger entry 2", True)
    ]
    append_refused(space)


def append_refused(space: Workspace) -> None:
    """No statement that changes an entry goes through."""
    for statement in ("UPDATE entries SET at = at", "DELETE FROM entries"):
        with suppress(IntegrityError), space.ledger.engine.begin() as connection:
            connection.exec_driver_sql(statement)
            raise AssertionError(statement)


ACTS = {
    "open": Act(nothing, append, one_entry_at_most, is_opening=True),
    "make": Act(make_old, make_new, old_or_new_stands),
    "promote": Act(first_answers, promote_second, one_of_two_answers),
    "roll_back": Act(second_answers, roll_back, one_of_two_answers),
    "erase": Act(refuse_three_times, erase_second, erased_or_whole),
}


def killed_everywhere(act: Act, folder: Path) -> int:
    """Kill the act at each of its points in turn and check; the number of points."""
    start = folder / "start"
    _undisturbed(act, folder / "undisturbed")
    assert _in_child(act.before, start) == 0
    for number in itertools.count(1, 5 if act.is_opening else 1):
        home = shutil.copytree(start, folder / str(number))
        ended = _in_child(partial(_killed, act, number), home)
        assert _in_child(act.check, home) == 0, f"after a kill at point {number}"
        if ended == 0:
            return number - 1
        assert ended == -signal.SIGKILL, f"ended with {ended} at point {number}"
    raise AssertionError


def _undisturbed(act: Act, home: Path) -> None:
    """Do and check it in this process: what is slow on first use is then done, and no child does it again."""
    space = Workspace(settings({"ML_ASSETS_HOME": str(home)}))
    for step in (act.before, act.act, act.check):
        step(space)
    space.ledger.close()


def _killed(act: Act, at: int, space: Workspace) -> None:
    if not act.is_opening:
        space.ledger.engine.connect().close()
    die_at(at)
    act.act(space)


def _in_child(work: Callable[[Workspace], Any], home: Path) -> int:
    """Do the work in a process of its own; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        space = Workspace(settings({"ML_ASSETS_HOME": str(home)}))
        work(space)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def points_survived(act: str, folder: Path) -> int:
    """Kill one of ACTS at each of its points, in processes of their own, and check; the number of points."""
    command = [sys.executable, "-m", "tests.support.faults", act, str(folder)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


if __name__ == "__main__":
    gc.freeze()  # or each child copies all of it, to look for cycles in it
    sys.stdout.write(str(killed_everywhere(ACTS[sys.argv[1]], Path(sys.argv[2]))))
