"""The prediction log's files: Parquet in one folder per hour (UTC) of the prediction ids, each file whole or absent.

Each flush writes one file. Once an hour has passed, its files are compacted into one, which is durable before any of them is
removed: after a kill in between, records are in two files. A record is known by its id, and reader.py counts each id once.
File names mean nothing, so the files of earlier versions, which have other names, are read like any other.
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
OTHERS = "others"
NICENESS = 19
RECENT_DAYS = 3


def hour_number(id: str) -> int:
    """Return the hours from 1970 to this id, which begins with its milliseconds."""
    return int(id[:8] + id[9:13], 16) // 3_600_000


def folder_of(folder: Path, hour: int) -> Path:
    """Return the folder of the predictions of an hour, numbered as by `hour_number`."""
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(hours=hour)
    return folder / moment.strftime("%Y-%m-%d") / moment.strftime("%H")


def hour_folder(folder: Path, id: str) -> Path:
    """Return the folder that has the prediction with this id, if any has."""
    return folder_of(folder, hour_number(id))


def own_hours(folder: Path) -> list[Path]:
    """Return the folders of all hours with predictions of this home, oldest first."""
    return sorted(folder.glob("????-??-??/??"))


def hours_of_others(folder: Path) -> Path:
    """Return the folder of what other machines logged: days and hours as in the own one."""
    return folder / OTHERS


def hours(folder: Path) -> list[Path]:
    """Return the folders of all hours with predictions, oldest first; one that only others have may not exist here."""
    others = (hour.relative_to(hours_of_others(folder)) for hour in own_hours(hours_of_others(folder)))
    return sorted({*own_hours(folder), *(folder / hour for hour in others)})


def due_hours(folder: Path, *, before: int) -> list[Path]:
    """Return the hours of the last days that are several files, before this one (numbered as by `hour_number`)."""
    end = folder_of(folder, before)
    days = sorted(folder.glob("????-??-??"))[-RECENT_DAYS:]
    return [hour for day in days for hour in sorted(day.glob("??")) if hour < end and len(own_files(hour)) > 1]


def files(hour: Path) -> list[Path]:
    """Return the files of one hour, of this home and of others, which together have every record."""
    return own_files(hour) + own_files(hour.parents[1] / OTHERS / hour.parent.name / hour.name)


def own_files(hour: Path) -> list[Path]:
    """Return the files of one hour that this home wrote, oldest first.

    Listing a folder isn't atomic: during a compaction one listing may miss both a file and the one that replaces it. What the
    first listing misses was removed before the second begins, which therefore finds the replacement.
    """
    first = set(hour.glob("*.parquet"))
    return sorted(first.union(hour.glob("*.parquet")))


def put(hour: Path, content: bytes) -> Path:
    """Add a file durably, and whole or not at all. Raises OSError."""
    path = hour / f"{prediction_id()}.parquet"
    write_atomically(path, content, mode=0o640)
    return path


def compact(hour: Path) -> bool:
    """Replace files of the hour by one with the same records, as many as fit. Return whether there were any.

    Call it until there are none. One process compacts at a time, others leave it to that one; the lock ends with its process.
    Raises OSError and duckdb.Error; no record is lost then.
    """
    day = os.open(hour.parent, os.O_RDONLY)  # not the hour: a writer holds the lock of the folder that it writes into
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
    put(hour, joined(sources, hour))
    for path in sources:
        path.unlink()
    return True


def _smallest(hour: Path) -> list[Path]:
    """The smallest files, as many as one compaction may read, oldest first."""
    sizes = sorted((path.stat().st_size, path) for path in own_files(hour))
    totals = accumulate(size for size, _ in sizes)
    return sorted(path for (_, path), total in zip(sizes, totals, strict=True) if total <= MOST_COMPACTED_BYTES)


def joined(sources: list[Path], hour: Path) -> bytes:
    """The records of several files as one, each once. Only where one repeats are all in memory."""
    with connect() as connection, unfinished_folder(hour) as scratch:
        connection.execute("SET threads = 1")  # the other cores are for the requests
        (repeats,) = connection.sql(f"SELECT count(*) > count(DISTINCT id) FROM {parquet(sources)}").fetchall()[0]
        records = connection.sql(f"SELECT {'DISTINCT ON (id) *' if repeats else '*'} FROM {parquet(sources)}")
        joined = Path(scratch) / "joined"
        records.write_parquet(str(joined), compression="zstd", row_group_size=GROUP_ROWS)
        return joined.read_bytes()


def main(arguments: list[str]) -> str | None:
    """Compact these hours (folders). Return the errors of those that can't be, None without any."""
    import duckdb

    os.nice(NICENESS)
    errors = []
    for hour in map(Path, arguments):
        try:
            while compact(hour):
                pass
        except (OSError, duckdb.Error) as error:  # nothing is lost, and the other hours may be fine
            errors.append(f"the prediction log's {hour} cannot be compacted: {error}")
    return "\n".join(errors) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
