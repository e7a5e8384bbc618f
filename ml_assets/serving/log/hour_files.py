"""The prediction log's files: Parquet in one folder per hour (UTC) of the prediction ids, each there as a whole or not at all.

Each flush writes one file. Once an hour has passed, its files are compacted into one, which is durable before any of them is
removed: after a kill in between, records are in two files. A record is known by its id, and prediction_records counts each id
once. What a file is called says nothing, so the files of earlier versions, with other names, are files like any other.
"""

import datetime as dt
import fcntl
import os
import sys
from itertools import accumulate
from pathlib import Path

from ml_assets.core.duckdb_session import connect, parquet
from ml_assets.serving.log.prediction_id import prediction_id
from ml_assets.serving.log.record import GROUP_ROWS
from resources.store.blobs import write_atomically
from resources.store.temp_files import clear_folder, unfinished_folder

MOST_COMPACTED_BYTES = 32 * 1024 * 1024
"""The most that one compaction reads: about a million records, whose ids are in memory. A larger hour stays several files."""
NICENESS = 19
RECENT_DAYS = 3


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


def hours(folder: Path) -> list[Path]:
    """All hours that hold predictions."""
    return sorted(folder.glob("????-??-??/??"))


def due_hours(folder: Path, *, before: int) -> list[Path]:
    """The hours before this one (numbered as `hour_number` does) in the last days that are several files."""
    end = folder_of(folder, before)
    days = sorted(folder.glob("????-??-??"))[-RECENT_DAYS:]
    return [hour for day in days for hour in sorted(day.glob("??")) if hour < end and len(files(hour)) > 1]


def files(hour: Path) -> list[Path]:
    """The files of one hour, which together hold every record, oldest first.

    Listing a folder is not atomic: during a compaction one listing may miss both a file and the one that replaces it. What the
    first listing misses was removed before the second begins, which therefore finds the replacement.
    """
    first = set(hour.glob("*.parquet"))
    return sorted(first.union(hour.glob("*.parquet")))


def put(hour: Path, content: bytes) -> Path:
    """Add a file so that it is there as a whole, for good, or not at all."""
    path = hour / f"{prediction_id()}.parquet"
    write_atomically(path, content, mode=0o640)
    return path


def compact(hour: Path) -> bool:
    """Replace files of the hour by one with the same records, as many as fit; whether there were any.

    Call it until there are none. One process compacts at a time, others leave it to that one; the lock ends with its process.
    Raises OSError and duckdb.Error, and has removed nothing then that is not in another file.
    """
    day = os.open(hour.parent, os.O_RDONLY)  # not the hour: who writes into a folder holds its lock
    try:
        fcntl.flock(day, fcntl.LOCK_EX | fcntl.LOCK_NB)
        clear_folder(hour)
        return _compact(hour)
    except BlockingIOError:
        return False
    finally:
        os.close(day)


def _compact(hour: Path) -> bool:
    sources = _smallest(hour)
    if len(sources) < 2:
        return False
    put(hour, _joined(sources, hour))
    for path in sources:
        path.unlink()
    return True


def _smallest(hour: Path) -> list[Path]:
    """The smallest files, as many as may be compacted together, oldest first."""
    sizes = sorted((path.stat().st_size, path) for path in files(hour))
    totals = accumulate(size for size, _ in sizes)
    return sorted(path for (_, path), total in zip(sizes, totals, strict=True) if total <= MOST_COMPACTED_BYTES)


def _joined(sources: list[Path], hour: Path) -> bytes:
    """One file of the records of several, each once. Where no record repeats, few rows are in memory."""
    with connect() as connection, unfinished_folder(hour) as scratch:
        connection.execute("SET threads = 1")  # the other cores are for the requests
        (repeats,) = connection.sql(f"SELECT count(*) > count(DISTINCT id) FROM {parquet(sources)}").fetchall()[0]
        records = connection.sql(f"SELECT {'DISTINCT ON (id) *' if repeats else '*'} FROM {parquet(sources)}")
        joined = Path(scratch) / "joined"
        records.write_parquet(str(joined), compression="zstd", row_group_size=GROUP_ROWS)
        return joined.read_bytes()


def main(arguments: list[str]) -> str | None:
    """Compact these hours (folders); the errors of those that cannot be, in words."""
    import duckdb

    os.nice(NICENESS)
    errors = []
    for hour in map(Path, arguments):
        try:
            while compact(hour):
                pass
        except (OSError, duckdb.Error) as error:  # nothing is lost, and the other hours can be
            errors.append(f"the prediction log's {hour} cannot be compacted: {error}")
    return "\n".join(errors) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
