"""Delivered bytes to a frame of what was delivered: CSV as text, Parquet as typed. The contract gives the meaning."""

import csv
import io
from collections.abc import Iterator
from typing import Literal

import numpy as np
import polars as pl

from ml_assets.core.contract.decoding import Undecodable, decoded, other_separator
from ml_assets.errors import MlAssetsError
from ml_assets.spec.delivery import ReferenceSpec

DeliveryCode = Literal["empty", "encoding", "header", "truncated", "ragged", "unreadable"]
_PARQUET_MAGIC = b"PAR1"
csv.field_size_limit(1 << 30)  # a text of any length is a field


FEW_LINES = 4
"""Of so few lines nobody can say how many fields are usual."""


class DeliveryError(MlAssetsError):
    """A delivered file that cannot be read as a table; `code` is stable."""

    def __init__(self, *, code: DeliveryCode, name: str, problem: str) -> None:
        """Compose the message. `name` is the file, `problem` says what is wrong with it."""
        self.code = code
        self.name = name
        super().__init__(f"{name}: {problem}; deliver the file again ({code})")


def read_delivery(content: bytes, *, table: ReferenceSpec, name: str, may_be_empty: bool = False) -> pl.DataFrame:
    """The rows of a delivered file; `name` is how messages call the file. Raises DeliveryError, also for a header without rows
    unless that says something (`may_be_empty`)."""
    if not content.strip():
        raise DeliveryError(code="empty", name=name, problem=f"the file has no content ({len(content)} bytes)")
    frame = _read_csv(content, table=table, name=name) if table.format == "csv" else _read_parquet(content, name=name)
    if frame.height == 0 and not may_be_empty:
        raise DeliveryError(code="empty", name=name, problem=f"the file has {frame.width} columns and no rows")
    return frame


def _read_csv(content: bytes, *, table: ReferenceSpec, name: str) -> pl.DataFrame:
    try:
        text = decoded(content, table=table)
    except Undecodable as error:
        raise DeliveryError(code="encoding", name=name, problem=str(error)) from None
    if not text.strip():
        raise DeliveryError(code="empty", name=name, problem=f"the file has no content ({len(content)} bytes)")
    if "\x00" in text:
        raise DeliveryError(code="unreadable", name=name, problem="holds NUL bytes: it is not a CSV file")
    content, is_quoted = text.encode(), bool(table.quote) and table.quote in text
    header = _header(text, table=table, name=name)
    fields = _fields_of_rows(text, table=table, name=name) if is_quoted else _fields_of_lines(content, separator=table.separator)
    _refuse_ragged(fields, width=len(header), name=name)
    try:
        quote = table.quote or None
        return pl.read_csv(content, separator=table.separator, quote_char=quote, infer_schema=False, empty_string_is_null=False)
    except pl.exceptions.PolarsError as error:
        raise DeliveryError(code="unreadable", name=name, problem=f"is not a CSV file: {str(error).splitlines()[0]}") from error


def _rows(text: str, table: ReferenceSpec, *, strict: bool = False) -> Iterator[list[str]]:
    lines = io.StringIO(text, newline="")
    if table.quote:
        return csv.reader(lines, delimiter=table.separator, quotechar=table.quote, strict=strict)
    return csv.reader(lines, delimiter=table.separator, quoting=csv.QUOTE_NONE, strict=strict)


def _header(text: str, *, table: ReferenceSpec, name: str) -> list[str]:
    header = next(_rows(text, table), [])
    if not header:
        raise DeliveryError(code="header", name=name, problem="the first line is empty: it has to name the columns")
    if len(header) == 1 and (hint := other_separator(header[0], declared=table.separator)):
        raise DeliveryError(code="header", name=name, problem=f"the header has one column; {hint}")
    if twice := sorted({column for column in header if header.count(column) > 1}):
        raise DeliveryError(code="header", name=name, problem=f"the header names a column twice: {', '.join(twice)}")
    if "" in header:
        raise DeliveryError(code="header", name=name, problem=f"column {header.index('')} of the header has no name")
    return header


def _fields_of_lines(content: bytes, *, separator: str) -> np.ndarray:
    """The number of fields of each line, where nothing is quoted: (lines,)."""
    data = np.frombuffer(content, dtype=np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    between = np.flatnonzero(data == ord(separator))
    return np.diff(np.searchsorted(between, ends), prepend=0) + 1


def _fields_of_rows(text: str, *, table: ReferenceSpec, name: str) -> np.ndarray:
    """The number of fields of each row, where some are quoted: (rows,)."""
    counts: list[int] = []
    try:
        for row in _rows(text, table, strict=True):
            counts.append(max(len(row), 1))
    except csv.Error as error:
        ended = "unexpected end" in str(error)
        problem = f"a quoted field {'never ends' if ended else 'is broken'} in row {len(counts) - 1}: {error}"
        raise DeliveryError(code="truncated" if ended else "unreadable", name=name, problem=problem) from None
    return np.asarray(counts)


def _refuse_ragged(fields: np.ndarray, *, width: int, name: str) -> None:
    wrong = np.flatnonzero(fields != width)
    if not len(wrong):
        return
    row, field_count = int(wrong[0]) - 1, int(fields[wrong[0]])
    if len(wrong) == 1 and row == len(fields) - 2 and field_count < width:
        raise DeliveryError(
            code="truncated",
            name=name,
            problem=f"the last row ({row}) has {field_count} of {width} fields: the file was cut short",
        )
    problem = f"{len(wrong)} rows do not have {width} fields; row {row} has {field_count}"
    if len(wrong) == len(fields) - 1 > 1 and (fields[1:] == field_count).all():
        problem = f"the first line has {width} fields and every row {field_count}: it has to name the columns"
    elif len(fields) > FEW_LINES and (usual_count := int(np.median(fields[1:]))) > width:
        usual = f"the first line has {width} {'field' if width == 1 else 'fields'} and most rows {usual_count}"
        problem = f"{usual}: remove what is above the line that names the columns"
    raise DeliveryError(code="ragged", name=name, problem=problem)


def _read_parquet(content: bytes, *, name: str) -> pl.DataFrame:
    if not content.startswith(_PARQUET_MAGIC):
        raise DeliveryError(code="unreadable", name=name, problem="does not begin like a Parquet file")
    if len(content) < 12 or not content.endswith(_PARQUET_MAGIC):
        raise DeliveryError(code="truncated", name=name, problem="the Parquet footer is missing: the file was cut short")
    try:
        return pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        problem = f"is a damaged Parquet file: {(str(error) or type(error).__name__).splitlines()[0]}"
        raise DeliveryError(code="unreadable", name=name, problem=problem) from error
