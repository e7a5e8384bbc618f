"""SQLite's files as bytes: a copy that no writer disturbs, the header's fields, and the frames of a write-ahead log."""

import os
import shutil
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ml_assets.errors import MlAssetsError

SECONDS_TO_WAIT = 20
WAL_HEADER, FRAME_HEADER = 32, 24
MAGIC_BIG_ENDIAN = 0x377F0683
COUNTERS = (range(24, 28), range(92, 96))
"""The file change counter, and the copy of it that must agree: they count writes, so nothing else tells their value."""


class LedgerBusy(MlAssetsError):
    """The ledger was written all the time while it was to be copied."""


class Header(NamedTuple):
    """What the file's header says of its writers."""

    changes: int
    user_version: int
    changes_at_last_write: int
    last_writer: int


def read_header(path: Path) -> Header:
    """The fields of a database file's first 100 bytes."""
    with path.open("rb") as stream:
        content = stream.read(100)
    return Header(*(int.from_bytes(content[at : at + 4]) for at in (24, 60, 92, 96)))


def copy_database(path: Path, folder: Path) -> Path:
    """Copy a database and its write-ahead log as they are at one moment, without opening them: that would write."""
    deadline = time.monotonic() + SECONDS_TO_WAIT
    target = folder / "ledger.db"
    while time.monotonic() < deadline:
        before = _marks(path)
        for suffix in ("", "-wal"):
            copied = Path(f"{target}{suffix}")
            copied.unlink(missing_ok=True)
            if Path(f"{path}{suffix}").exists():
                shutil.copyfile(f"{path}{suffix}", copied)
        if _marks(path) == before:
            return target
        time.sleep(0.1)
    raise LedgerBusy(f"{path} was written for {SECONDS_TO_WAIT} s without a pause; run `ml-assets verify` again later")


def _marks(path: Path) -> list[tuple[int, ...] | None]:
    found: list[tuple[int, ...] | None] = []
    for suffix in ("", "-wal"):
        try:
            stat = os.stat(f"{path}{suffix}")  # noqa: PTH116
            found.append((stat.st_size, stat.st_mtime_ns, stat.st_ino))
        except FileNotFoundError:
            found.append(None)
    return found


@dataclass(frozen=True)
class Wal:
    """What a write-ahead log holds: `damaged` frames lie before good ones; `torn` ones end it, as a crash leaves them."""

    is_header_whole: bool = True
    frames: int = 0
    damaged: tuple[int, ...] = ()
    torn: tuple[int, ...] = ()


def read_wal(content: bytes) -> Wal:
    """Check the header, and every frame of the log's present generation; frames of earlier ones are waiting to be overwritten."""
    if not content:
        return Wal()
    if len(content) < WAL_HEADER:
        return Wal(is_header_whole=False)
    magic, _, size, _, *salts, first, second = struct.unpack(">8I", content[:WAL_HEADER])
    order = ">" if magic == MAGIC_BIG_ENDIAN else "<"
    sums = _checksum(content[:24], (0, 0), order)
    if sums != (first, second) or magic & ~1 != MAGIC_BIG_ENDIAN & ~1:
        return Wal(is_header_whole=False)
    good, bad = 0, []
    length = FRAME_HEADER + size
    for number, at in enumerate(range(WAL_HEADER, len(content), length)):
        frame = content[at : at + length]
        *_, salt1, salt2, sum1, sum2 = struct.unpack(">6I", frame[:FRAME_HEADER].ljust(FRAME_HEADER, b"\0"))
        if salt1 != salts[0] and salt2 != salts[1]:
            continue
        due = _checksum(frame[:8] + frame[FRAME_HEADER:], sums, order) if len(frame) == length else None
        if due == (sum1, sum2) and [salt1, salt2] == salts:
            good = number + 1
        else:
            bad.append(number)
        sums = (sum1, sum2)  # what the next one was made from, also when this one's bytes changed since
    last = max([good, *(number + 1 for number in bad)])
    return Wal(True, last, tuple(n for n in bad if n < good), tuple(n for n in bad if n >= good))


def _checksum(content: bytes, start: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = start
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
