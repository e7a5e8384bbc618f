"""The dialect of a CSV file, detected from its bytes: the keys of `delivery.tables.<table>` that are not the defaults."""

import csv
import io
from collections.abc import Sequence

import polars as pl

from ml_assets.core.contract.decoding import COMPRESSED, Undecodable, expanded
from ml_assets.core.draft.request import DraftRefused
from ml_assets.spec.delivery import ReferenceSpec

SEPARATORS = (",", ";", "\t", "|")
SAMPLE_LINES, SAMPLE_BYTES = 200, 4096
ENOUGH = 0.995
"""The share of values that a kind or a format has to fit."""
MISSING_WORDS = ("NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null")
"""Words that mean missing wherever they are written."""
NUMERIC_MISSING_WORDS = ("?", "-", "--", ".", "None", "none", "n/a", "na", "missing")
"""Words that mean missing among numbers, and may be a value of their own among texts."""
_DECIMAL_COMMA = r"^\s*[+-]?\d+,\d+\s*$"


def csv_dialect(content: bytes, *, name: str) -> ReferenceSpec:
    """Compression, encoding and separator. Raises DraftRefused where the bytes are not a table of text."""
    compression = next((name for name, magic in COMPRESSED.items() if content.startswith(magic)), "none")
    if compression != "none":
        content = _expanded(content, compression, name=name)
    _refuse_other_formats(content, name=name)
    encoding = _encoding(content)
    try:
        text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        raise DraftRefused(f"{name} is not text: {error}; convert it to UTF-8") from None
    separator = _separator(text, name=name)
    return ReferenceSpec(format="csv", separator=separator, encoding=encoding, compression=compression)  # type: ignore[arg-type]


def _refuse_other_formats(content: bytes, *, name: str) -> None:
    """Refuse files that are no text of rows, by how they begin."""
    start = content[:SAMPLE_BYTES].lstrip()
    if not start:
        raise DraftRefused(f"{name} is empty")
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise DraftRefused(f"{name} is a workbook or an archive; save its table as CSV or Parquet")
    if start.startswith((b"{", b"[")):
        raise DraftRefused(f"{name} is JSON; write its rows as CSV or Parquet: polars.read_ndjson(…).write_parquet(…)")


def missing_words(frame: pl.DataFrame) -> tuple[str, ...]:
    """The words of a frame of texts that mean missing; the empty text always does."""
    words = [word for word in MISSING_WORDS if any((frame[name] == word).any() for name in frame.columns)]
    numeric = [name for name in frame.columns if _is_numeric(frame[name])]
    words += [word for word in NUMERIC_MISSING_WORDS if any((frame[name] == word).any() for name in numeric)]
    return ("", *words)


def decimal_sign(frame: pl.DataFrame, table: ReferenceSpec) -> str:
    """The decimal sign of the numbers in a frame of texts."""
    if table.separator == ",":
        return "."
    known = [frame[name].drop_nulls() for name in frame.columns]
    return "," if any(len(v) and v.str.contains(_DECIMAL_COMMA).mean() > 0.5 for v in known) else "."  # type: ignore[operator]


def _is_numeric(values: pl.Series) -> bool:
    known = values.drop_nulls().filter(~values.drop_nulls().is_in(["", *MISSING_WORDS, *NUMERIC_MISSING_WORDS]))
    return len(known) > 0 and float(known.cast(pl.Float64, strict=False).is_not_null().mean() or 0) >= ENOUGH  # type: ignore[arg-type]


def _expanded(content: bytes, compression: str, *, name: str) -> bytes:
    try:
        return expanded(content, compression=compression)
    except Undecodable as error:
        raise DraftRefused(f"{name}: {error}") from None


def _encoding(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _separator(text: str, *, name: str) -> str:
    """The character that divides the first lines into the most columns, as many in each."""
    lines = "\n".join(text.splitlines()[:SAMPLE_LINES])
    widths = {sign: _widths(lines, sign) for sign in SEPARATORS}
    even = {sign: lengths[0] for sign, lengths in widths.items() if lengths and lengths[0] > 1 and len(set(lengths)) == 1}
    if not even:
        likely = max(SEPARATORS, key=lambda sign: max(widths[sign], default=0))
        if max(widths[likely], default=0) < 2:
            raise DraftRefused(f"{name} has one column; a table has at least a time and a label, divided by , ; tab or |")
        return likely
    return max(even, key=lambda sign: even[sign])


def _widths(lines: str, separator: str) -> Sequence[int]:
    return [len(row) for row in csv.reader(io.StringIO(lines), delimiter=separator) if row]
