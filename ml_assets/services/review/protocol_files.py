"""The files of the protocol (core.changes.walk_protocol). What another process wrote is checked before it is used."""

from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import msgspec
import polars as pl

from ml_assets.core.changes.head_against_base import NotComparable, SideRows
from ml_assets.core.changes.walk_protocol import BASELINE, PROTOCOL, ROWS, SCORE, SCORES, WALKED, WINDOW, ReplacedGates, Walked
from ml_assets.core.frames import parquet_bytes

Record = TypeVar("Record", bound=msgspec.Struct)
MOST_BYTES = 1 << 30
"""A file of the protocol that is larger is not read."""


def write_walk(folder: Path, side: SideRows) -> None:
    """Write what one side walked; walk.json last, so that a folder that has one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ROWS).write_bytes(parquet_bytes(side.rows))
    columns = [side.windows.alias(WINDOW), side.scores.alias(SCORE)]
    columns += [] if side.baseline is None else [side.baseline.alias(BASELINE)]
    (folder / SCORES).write_bytes(parquet_bytes(pl.DataFrame(columns)))
    (folder / WALKED).write_bytes(msgspec.json.encode(side.walked))


def read_walk(folder: Path) -> SideRows:
    """Read the result of one side's walk. Raises NotComparable for files that are not those of the protocol."""
    walked = read_record(folder / WALKED, Walked)
    scores = _table(folder / SCORES, {WINDOW: pl.String, SCORE: pl.Float64}, may_be_array=(SCORE,))
    rows = _table(folder / ROWS, {})
    return SideRows(walked, rows, scores[WINDOW], scores[SCORE], scores[BASELINE] if BASELINE in scores.columns else None)


def take_walk(folder: Path, into: Path) -> None:
    """Copy a walk that somebody else left, as plain files and nothing else of the folder. Raises NotComparable."""
    into.mkdir(parents=True, exist_ok=True)
    for name in (ROWS, SCORES, WALKED):
        (into / name).write_bytes(_bytes(folder / name))


def write_record(file: Path, record: msgspec.Struct) -> None:
    """Write a record of the protocol as JSON."""
    file.write_bytes(msgspec.json.encode(record))


def read_gates(file: Path | None) -> ReplacedGates:
    """The gates of a file; without one, the product's own. Raises NotComparable."""
    return read_record(file, ReplacedGates) if file else ReplacedGates()


def read_record(file: Path, record: type[Record]) -> Record:
    """A JSON file of this protocol as its record. Raises NotComparable."""
    try:
        content = msgspec.json.decode(_bytes(file), type=record)
    except msgspec.MsgspecError as error:
        raise NotComparable(f"{file.name}: is not what the protocol says: {error}") from None
    if getattr(content, "protocol", PROTOCOL) != PROTOCOL:
        raise NotComparable(f"{file.name}: is of another protocol than {PROTOCOL}")
    return content


def _table(
    file: Path, types: Mapping[str, pl.DataType | type[pl.DataType]], *, may_be_array: Collection[str] = ()
) -> pl.DataFrame:
    """A table with columns of these types. Scores of several classes are an array a row."""
    try:
        frame = pl.read_parquet(BytesIO(_bytes(file)))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise NotComparable(f"{file.name}: is not a table: {str(error).splitlines()[0]}") from None
    for name, type_ in types.items():
        own = frame.schema.get(name)
        if name in may_be_array and isinstance(own, pl.Array):
            own = frame.select(pl.col(name).arr.first()).schema[name]
        if own != type_ or frame[name].null_count():
            raise NotComparable(f"{file.name}: {name} is not {type_} without gaps")
    return frame


def _bytes(file: Path) -> bytes:
    if file.parent.is_symlink() or file.is_symlink() or not file.is_file():
        raise NotComparable(f"{file.name} is missing")
    if file.stat().st_size > MOST_BYTES:
        raise NotComparable(f"{file.name} is larger than {MOST_BYTES} bytes")
    return file.read_bytes()
