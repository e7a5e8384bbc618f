"""The prediction log's writer, killed wherever it meets the disk: before each call, and in the middle of what it writes.

`python -m tests.support.log_faults ACT FOLDER [MUTANT]` does an act in a new folder per kill, each in a process of its own, and
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
from types import ModuleType

import duckdb  # noqa: F401  once here, not in every child
import msgspec
import pandas as pd  # noqa: F401  pyarrow looks for it
import polars as pl  # noqa: F401
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_assets.core.digests import sha256
from ml_assets.core.duckdb_session import parquet
from ml_assets.serving.log import hour_files, reader
from ml_assets.serving.log.reader import read
from ml_assets.serving.log.record import Predictions, schema
from ml_assets.serving.log.record import parquet as record_parquet
from ml_assets.serving.log.writer import PredictionLog
from resources.store.blobs import make_folder
from resources.store.temp_files import UNFINISHED
from tests.support.faults import SYSTEM_CALLS, die_at
from tests.support.logged import Asked, log, predicted

CALLS = (*SYSTEM_CALLS, "rename", "unlink", "remove")
FLUSHED, PARTS, IN_PART = (40, 80), 3, 40
NOT_WHOLE, MISCOUNTED = "Could not open Parquet input source", "records are missing, or there twice"
SHARES = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.9, 0.97)
"""Of the largest file's size: where in a file the writer is killed."""

Tell = Callable[[int], None]


def request_of(number: int) -> Asked:
    """The request of a record: text that does not compress, so that a file is many writes long."""
    return Asked("".join(sha256(f"{number} {part}".encode()) for part in range(8)), number)


def predictions_of(first: int, count: int) -> Predictions:
    return predicted(*range(first, first + count), request=request_of)


def flush(folder: Path, tell: Tell) -> None:
    """A log that takes two batches, each once the one before is written, and stops; tells how many records it wrote."""
    kept = PredictionLog(folder, flush_seconds=0.001)
    first = 0
    for count in FLUSHED:
        kept.add(predictions_of(first, count))
        first += count
        while kept.written < first:
            time.sleep(0.001)
        tell(first)
    kept.close()


def flushed(folder: Path) -> None:
    for number in range(PARTS):
        log(folder, predictions_of(number * IN_PART, IN_PART))


def compact(folder: Path, tell: Tell) -> None:
    """What was flushed becomes one file."""
    tell(PARTS * IN_PART)
    compact_all(folder)


def compact_all(folder: Path) -> None:
    """Compact every hour until it is one file."""
    for hour in hour_files.hours(folder):
        while hour_files.compact(hour):
            pass
        assert len(hour_files.files(hour)) < 2, f"{hour} is several files"


ACTS = {"flush": (lambda _: None, flush), "compact": (flushed, compact)}


def prove(folder: Path, written: int) -> None:
    """Every file is whole, every record is whole and counted once, all that was said to be written is there, also after the
    next compaction, which leaves every record in one file and nothing unfinished."""
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path)
        assert (table.schema.names, table.schema.types) == (schema().names, schema().types), f"{path.name} has other columns"
    frame = read(folder)
    numbers = [round(score * 3) for score in frame["score"]]
    assert sorted(numbers) == list(range(len(numbers))), MISCOUNTED
    assert len(set(frame["id"])) == len(numbers) >= written, f"{len(numbers)} of {written} records"
    for number, request in zip(numbers, frame["request"], strict=True):
        assert msgspec.json.decode(request, type=Asked) == request_of(number), f"record {number} is not whole"
    compact_all(folder)
    assert read(folder).equals(frame), "compacting changed the records"
    rows = sum(pq.read_metadata(path).num_rows for path in folder.rglob("*.parquet"))
    assert rows == len(numbers), "a record is in the compacted files twice"
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


def removed_first(hour: Path) -> bool:
    sources = hour_files.files(hour)
    if len(sources) < 2:
        return False
    content = hour_files.joined(sources, hour)
    for path in sources:
        path.unlink()
    hour_files.put(hour, content)
    return True


def repeats_joined(sources: Sequence[Path], _: Path) -> bytes:
    return record_parquet(pa.concat_tables(map(pq.read_table, sources)).cast(schema()))


def repeats_read(by_hour: Sequence[Sequence[Path]]) -> str:
    return f"FROM {parquet([path for paths in by_hour for path in paths])}"


MUTANTS: dict[str, tuple[str, ModuleType, str, Callable[..., object], str]] = {
    "in_place": ("flush", hour_files, "write_atomically", in_place, NOT_WHOLE),
    "renamed_first": ("flush", hour_files, "write_atomically", renamed_first, NOT_WHOLE),
    "removed_first": ("compact", hour_files, "_compact", removed_first, MISCOUNTED),
    "repeats_compacted": ("compact", hour_files, "joined", repeats_joined, "compacting changed the records"),
    "repeats_read": ("compact", reader, "_log", repeats_read, MISCOUNTED),
}
"""For each the act that shows it, what is replaced by what, and how the proof fails."""


def killed_everywhere(act: str, folder: Path) -> int:
    """Kill the act before each of its calls and at each of SHARES, and prove each time what is left; the number of kills."""
    before, work = ACTS[act]
    assert ended(lambda _: before(folder / "start"))[0] == 0
    for number in itertools.count(1):
        code, largest = killed(work, folder, f"call {number}", lambda number=number: die_at(number, names=CALLS))
        if code == 0:
            break
        assert code == -signal.SIGKILL, f"ended with {code} at call {number}"
    sizes = [0, 1, *(int(share * largest) for share in SHARES)]
    for size in sizes:
        code, _ = killed(work, folder, f"byte {size}", lambda size=size: die_past(size))
        assert code == -signal.SIGXFSZ, f"ended with {code} at byte {size}"
    return number - 1 + len(sizes)


def die_past(size: int) -> None:
    """Have the kernel end this process when it writes more than so many bytes into one file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def killed(work: Callable[[Path, Tell], None], folder: Path, where: str, arm: Callable[[], None]) -> tuple[int, int]:
    """Do the work on a copy of the start, prove what it leaves; how it ended, and the size of the largest file it left."""
    at = folder / where
    if (folder / "start").exists():
        shutil.copytree(folder / "start", at)

    def armed(tell: Tell) -> None:
        arm()
        work(at, tell)

    code, written = ended(armed)
    largest = max((path.stat().st_size for path in at.rglob("*.parquet")), default=0)
    assert ended(lambda _: prove(at, written))[0] == 0, f"after a kill at {where}"
    return code, largest


def ended(work: Callable[[Tell], None]) -> tuple[int, int]:
    """Do the work in a process of its own: its exit code, or minus the signal that ended it, and the last number it told."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        work(lambda number: _told(sender, number))
        os._exit(0)
    os.close(sender)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(receiver, "rb") as stream:
        return code, int((stream.read().split() or [b"0"])[-1])


def _told(sender: int, number: int) -> None:
    os.write(sender, b"%d " % number)


def kills_survived(act: str, folder: Path, *, mutant: str = "") -> subprocess.CompletedProcess[str]:
    """This program, run for one of ACTS."""
    command = [sys.executable, "-m", "tests.support.log_faults", act, str(folder), *([mutant] if mutant else [])]
    return subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        pytest.MonkeyPatch().setattr(*MUTANTS[sys.argv[3]][1:4])  # refuses a name that the module does not have
    sys.stdout.write(str(killed_everywhere(sys.argv[1], Path(sys.argv[2]))))
