"""The prediction log's writer, killed wherever it meets the disk: before each call, and in the middle of what it writes.

`python -m tests.log_faults ACT FOLDER [MUTANT]` does an act in a new folder per kill, each time in a process of its own, and
proves what is left. A kill in the middle is the kernel's: past a file size it ends the process, whoever writes and however.
Prints how many kills there were. With one of MUTANTS the log is broken on purpose, and the proof has to fail.
"""

import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb  # noqa: F401  once here, not in every child
import msgspec
import pandas as pd  # noqa: F401  pyarrow looks for it
import polars as pl  # noqa: F401
import pyarrow.parquet as pq

from ml_assets.core.digests import sha256
from ml_assets.serving import prediction_files as files
from ml_assets.serving.prediction_log import PredictionLog
from ml_assets.serving.prediction_record import Predictions, parquet, schema
from ml_assets.serving.prediction_records import read
from resources.blobs import make_folder
from resources.leftovers import UNFINISHED
from tests.faults import SYSTEM_CALLS, die_at
from tests.logged import Asked, log, predicted

CALLS = (*SYSTEM_CALLS, "rename", "unlink", "remove")
FLUSHED, PARTS, IN_PART = (40, 80, 120), 6, 40
SHARES = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9, 0.97)
"""Of the largest file's size: where in a file the writer is killed."""

Tell = Callable[[int], None]


def asked(number: int) -> Asked:
    """The request of a record: text that does not compress, so that a file is many writes long."""
    return Asked("".join(sha256(f"{number} {part}".encode()) for part in range(8)), number)


def made(first: int, count: int) -> Predictions:
    return predicted(*range(first, first + count), request=asked)


def flush(folder: Path, tell: Tell) -> None:
    """A log that takes three batches, each once the one before is written, and stops; tells how many records it wrote."""
    kept = PredictionLog(folder, flush_seconds=0.001)
    first = 0
    for count in FLUSHED:
        kept.add(made(first, count))
        first += count
        while kept.written < first:
            time.sleep(0.001)
        tell(first)
    kept.close()


def flushed(folder: Path) -> None:
    for number in range(PARTS):
        log(folder, made(number * IN_PART, IN_PART), number=number)


def merge(folder: Path, tell: Tell) -> None:
    """What was flushed becomes one file."""
    tell(PARTS * IN_PART)
    for hour in files.hours(folder):
        files.merge(hour, is_over=True)


ACTS = {"flush": (lambda _: None, flush), "merge": (flushed, merge)}


def prove(folder: Path, written: int) -> None:
    """Every file is whole, every record is whole and there once, all that was told to be written is there, also after
    the next merge, which leaves nothing unfinished."""
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path)
        assert table.schema.equals(schema()), f"{path.name} has other columns"
    found = read(folder)
    numbers = [round(score * 3) for score in found["score"]]
    assert sorted(numbers) == list(range(len(numbers))), "records are missing, or there twice"
    assert len(set(found["id"])) == len(numbers) >= written, f"{len(numbers)} of {written} records"
    for number, request in zip(numbers, found["request"], strict=True):
        assert msgspec.json.decode(request, type=Asked) == asked(number), f"record {number} is not whole"
    for hour in files.hours(folder):
        files.merge(hour, is_over=True)
    assert read(folder).equals(found), "merging changed the records"
    assert not list(folder.rglob(f"{UNFINISHED}*")), "something unfinished is left over"


def in_place(path: Path, content: bytes, *, mode: int) -> None:
    make_folder(path.parent)
    path.write_bytes(content)
    path.chmod(mode)


def renamed_first(path: Path, content: bytes, *, mode: int) -> None:
    make_folder(path.parent)
    writing = path.parent / f"{UNFINISHED}0"
    writing.touch(mode)
    writing.rename(path).write_bytes(content)


def parts_removed_first(hour: Path, run: Sequence[files.Part]) -> None:
    if len(run) > 1:
        content = parquet([pq.read_table(part.path) for part in run])
        for part in run:
            part.path.unlink()
        files.put(hour, content, writer=run[0].writer, first=run[0].first, last=run[-1].last, level=1)


MUTANTS: dict[str, tuple[str, Callable[..., object]]] = {
    "in_place": ("write_atomically", in_place),
    "renamed_first": ("write_atomically", renamed_first),
    "parts_removed_first": ("_merge", parts_removed_first),
    "all_files_read": ("_outermost", lambda found: found),
}
"""What is replaced in prediction_files, and by what."""


def killed_everywhere(act: str, folder: Path) -> int:
    """Kill the act before each of its calls and at each of SHARES, and prove each time what is left; the number of kills."""
    before, work = ACTS[act]
    assert ended(lambda _: before(folder / "start"))[0] == 0
    for number in itertools.count(1):
        code = killed(work, folder, f"call {number}", lambda number=number: die_at(number, names=CALLS))
        if code == 0:
            break
        assert code == -signal.SIGKILL, f"ended with {code} at call {number}"
    largest = max(path.stat().st_size for path in (folder / f"call {number}").rglob("*.parquet"))
    sizes = [0, 1, *(int(share * largest) for share in SHARES)]
    for size in sizes:
        code = killed(work, folder, f"byte {size}", lambda size=size: die_past(size))
        assert code == -signal.SIGXFSZ, f"ended with {code} at byte {size}"
    return number - 1 + len(sizes)


def die_past(size: int) -> None:
    """Have the kernel end this process when it writes more than so many bytes into one file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def killed(work: Callable[[Path, Tell], None], folder: Path, where: str, arm: Callable[[], None]) -> int:
    """Do the work on a copy of the start, prove what it leaves; how it ended."""
    at = folder / where
    if (folder / "start").exists():
        shutil.copytree(folder / "start", at)

    def armed(tell: Tell) -> None:
        arm()
        work(at, tell)

    code, written = ended(armed)
    assert ended(lambda _: prove(at, written))[0] == 0, f"after a kill at {where}"
    return code


def ended(work: Callable[[Tell], None]) -> tuple[int, int]:
    """Do the work in a process of its own: its exit code, or minus the signal that ended it, and the last number it told."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        work(lambda number: _told(sender, number))
        os._exit(0)
    os.close(sender)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(receiver, "rb") as told:
        return code, int((told.read().split() or [b"0"])[-1])


def _told(sender: int, number: int) -> None:
    os.write(sender, b"%d " % number)


def kills_survived(act: str, folder: Path, *, mutant: str = "") -> subprocess.CompletedProcess[str]:
    """This program, run for one of ACTS."""
    command = [sys.executable, "-m", "tests.log_faults", act, str(folder), *([mutant] if mutant else [])]
    return subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        setattr(files, *MUTANTS[sys.argv[3]])
    sys.stdout.write(str(killed_everywhere(sys.argv[1], Path(sys.argv[2]))))
