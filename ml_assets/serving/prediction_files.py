"""The prediction log's files: Parquet in one folder per hour (UTC) of the prediction ids, each there as a whole or not at all.

`2026-01-31/09/<writer>.<first>-<last>.<level>.parquet` holds what one writer flushed from its flush `first` to `last`. Many
small files are merged into a larger one of the next level. A file whose range lies within another's of the same writer is in
that one already: nobody reads it, so that a kill between writing the merged file and removing its parts counts nothing twice.
"""

import datetime as dt
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ml_assets.errors import MlAssetsError
from ml_assets.serving.prediction_record import parquet
from resources.blobs import write_atomically
from resources.leftovers import clear_folder

if TYPE_CHECKING:
    import pyarrow as pa

FAN = 32
"""Files of one level that become one of the next: an hour of flushes each second is at most 93 files, each row written thrice."""
MOST_MERGED_BYTES = 32 * 1024 * 1024
READ_ROWS = 2048
RECENT_DAYS = 3
TRIES = 50


class PredictionLogError(MlAssetsError):
    """The log holds something else than whole files of predictions, or changes faster than it can be read."""


class Part(NamedTuple):
    """A file of the log."""

    writer: str
    first: int
    last: int
    level: int
    path: Path


def hour_number(id: str) -> int:
    """The hours from 1970 to this id: an id begins with its milliseconds."""
    return int(id[:8] + id[9:13], 16) // 3_600_000


def folder_of(folder: Path, hour: int) -> Path:
    """Where the predictions of an hour are, given as `hour_number` does."""
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(hours=hour)
    return folder / moment.strftime("%Y-%m-%d") / moment.strftime("%H")


def hour_folder(folder: Path, id: str) -> Path:
    """Where the prediction with this id is, if anywhere."""
    return folder_of(folder, hour_number(id))


def put(hour: Path, content: bytes, *, writer: str, first: int, last: int, level: int = 0) -> Path:
    """Write a file so that it is there as a whole, for good, or not at all."""
    path = hour / f"{writer}.{first:08d}-{last:08d}.{level}.parquet"
    write_atomically(path, content, mode=0o640)
    return path


def parts(hour: Path) -> list[Part]:
    """The files of one hour that hold every record exactly once, by writer and flush."""
    return _that_count(_listed(hour))


def recent_hours(folder: Path) -> list[Path]:
    """The hours of the last days that hold predictions, but for the newest, which is written to: a kill may have left them
    in small files."""
    return sorted(hour for day in sorted(folder.glob("????-??-??"))[-RECENT_DAYS:] for hour in day.glob("??"))[:-1]


def hours(folder: Path) -> list[Path]:
    """All hours that hold predictions."""
    return sorted(folder.glob("????-??-??/??"))


def merge(hour: Path, *, is_over: bool = False) -> None:
    """Merge small files of the hour into larger ones; all of them, up to a size, once the hour `is_over` or its writer ends.

    Whoever merges holds a lock, which ends with its process. Done twice, or killed in between, it gives the same records.
    """
    with _alone(hour):
        there = _listed(hour)
        kept = _that_count(there)
        _remove(hour, set(there).difference(kept))
        for _, each_of in groupby(kept, key=lambda part: part.writer):
            for run in _runs(list(each_of), is_over=is_over):
                _merge(hour, run)


def _listed(hour: Path) -> list[Part]:
    """The files of one hour, by writer and flush.

    Listing is not atomic: while a merge is under way one listing may miss both the parts and the whole. So it is done until
    it gives the same twice.
    """
    before = None
    for _ in range(TRIES):
        found = _listed_once(hour)
        if found == before:
            return found
        before = found
    raise PredictionLogError(f"{hour}: changes faster than it can be listed")


def _listed_once(hour: Path) -> list[Part]:
    try:
        names = os.listdir(hour)  # noqa: PTH208 one call; iterdir would be the same with a path for each
    except FileNotFoundError:
        return []
    found = [_part(hour / name) for name in names if name.endswith(".parquet")]
    return sorted(found, key=lambda part: (part.writer, part.first, -part.last))


def _part(path: Path) -> Part:
    try:
        writer, flushes, level, _ = path.name.split(".")
        first, last = map(int, flushes.split("-"))
        return Part(writer, first, last, int(level), path)
    except ValueError as error:
        raise PredictionLogError(f"{path} is no file of a prediction log") from error


def _that_count(listed: Sequence[Part]) -> list[Part]:
    return [each for _, each_of in groupby(listed, key=lambda part: part.writer) for each in _outermost(each_of)]


def _outermost(found: Iterator[Part]) -> Iterator[Part]:
    """Those of one writer that no other holds already."""
    reached = -1
    for part in found:
        if part.last > reached:
            reached = part.last
            yield part


def _runs(found: Sequence[Part], *, is_over: bool) -> Iterator[Sequence[Part]]:
    """Neighbours to merge: FAN of one level, or of an hour that is over as many as fit a file."""
    if not is_over:
        for _, each_of in groupby(found, key=lambda part: part.level):
            if len(of_level := list(each_of)) >= FAN:
                yield of_level
        return
    run: list[Part] = []
    size = 0
    for part in found:
        more = part.path.stat().st_size
        if run and size + more > MOST_MERGED_BYTES:
            yield run
            run, size = [], 0
        run.append(part)
        size += more
    yield run


def _merge(hour: Path, run: Sequence[Part]) -> None:
    if len(run) < 2 or sum(part.path.stat().st_size for part in run) > MOST_MERGED_BYTES:
        return
    content = parquet(table for part in run for table in _tables(part.path))
    level = 1 + max(part.level for part in run)
    put(hour, content, writer=run[0].writer, first=run[0].first, last=run[-1].last, level=level)
    for part in run:
        part.path.unlink(missing_ok=True)


def _tables(path: Path) -> "Iterator[pa.Table]":
    """The rows of a file, a few at a time: in memory that is used again, where that for a whole file is cleared each time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(READ_ROWS, use_threads=False):
            yield pa.Table.from_batches([batch])


def _remove(hour: Path, merged: Iterable[Part]) -> None:
    """What a kill left over: parts of a merged file, and files that were never finished.

    Nothing else: another server may have written a file since the hour was listed.
    """
    for part in merged:
        part.path.unlink(missing_ok=True)
    clear_folder(hour)


@contextmanager
def _alone(hour: Path) -> Iterator[None]:
    descriptor = os.open(hour.parent, os.O_RDONLY)  # the day: who writes into the hour holds that one's lock
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
