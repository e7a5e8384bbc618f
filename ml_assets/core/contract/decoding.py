"""A delivered CSV file to UTF-8 text, as its table declares it; and what the file seems to be where that does not fit."""

import gzip
import io
import zlib

from ml_assets.spec.delivery import ReferenceSpec

BOM = b"\xef\xbb\xbf"
MOST_EXPANDED = 8 << 30
"""Bytes that a compressed file may hold; beyond, it is not a delivery."""
_MAGIC = {
    b"\x1f\x8b": "it is compressed with gzip: add `compression: gzip`",
    b"PAR1": "it is a Parquet file: declare `format: parquet`",
    b"PK\x03\x04": "it is a zip archive or an Excel workbook: deliver the table in it as CSV or Parquet",
    b"\x28\xb5\x2f\xfd": "it is compressed with zstd: add `compression: zstd`",
    b"\xfd7zXZ": "it is compressed with xz: deliver it as it is, or with gzip",
    b"BZh": "it is compressed with bzip2: deliver it as it is, or with gzip",
    b"\xff\xfe\0\0": "it is UTF-32 text: add `encoding: utf-32`",
    b"\xff\xfe": "it is UTF-16 text: add `encoding: utf-16`",
    b"\xfe\xff": "it is UTF-16 text: add `encoding: utf-16`",
}
COMPRESSED = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
"""The first bytes of compressed files."""
SAMPLE, MOSTLY = 1000, 0.8
_SEPARATORS = {";": '";"', "\t": '"\\t"', "|": '"|"', ",": '","'}


class Undecodable(Exception):
    """The reason why bytes are not the declared text, as a clause, with the line to add where there is one."""


def decoded(content: bytes, *, table: ReferenceSpec) -> str:
    """The text of a delivered CSV file, with line feeds alone between lines where it has no other. Raises Undecodable."""
    if table.compression != "none":
        content = expanded(content, compression=table.compression)
    if (seems := _seems(content)) and not _is_wide(table.encoding):
        raise Undecodable(seems)
    try:
        text = content.removeprefix(BOM).decode(table.encoding)
    except UnicodeDecodeError as error:
        raise Undecodable(_not_text(content, error, table.encoding)) from None
    except UnicodeError as error:
        raise Undecodable(f"it is not {table.encoding.upper()} text: {error}") from None
    text = text.rstrip("\r\n") + "\n"
    return text if "\n" in text[:-1] else text.replace("\r", "\n")


def other_separator(header: str, *, declared: str) -> str:
    """The line to add to product.yaml where a header of one column seems to be separated by another character; else empty."""
    separator = max((candidate for candidate in _SEPARATORS if candidate != declared), key=header.count)
    return (
        f"the separator seems to be {_SEPARATORS[separator]}: add `separator: {_SEPARATORS[separator]}`"
        if header.count(separator)
        else ""
    )


def expanded(content: bytes, *, compression: str) -> bytes:
    """The bytes that a compressed file holds. Raises Undecodable."""
    if not content.startswith(COMPRESSED[compression]):
        raise Undecodable(f"it is not compressed so, and `compression: {compression}` is declared")
    try:
        whole = _unzipped(content) if compression == "gzip" else _unpacked(content)
    except (EOFError, OSError, zlib.error) as error:
        raise Undecodable(f"the {compression} file is damaged or was cut short: {error}") from None
    if len(whole) > MOST_EXPANDED:
        raise Undecodable(f"the {compression} file holds more than {MOST_EXPANDED >> 30} GiB")
    return whole


def _unzipped(content: bytes) -> bytes:
    with gzip.open(io.BytesIO(content)) as file:
        return file.read(MOST_EXPANDED + 1)


def _unpacked(content: bytes) -> bytes:
    """Of zstd, in as many frames as the file has."""
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as file:
        return bytes(file.read(MOST_EXPANDED + 1))


def _is_wide(encoding: str) -> bool:
    """Whether texts of the encoding may begin with any bytes, and hold null bytes."""
    return encoding.lower().replace("_", "-").startswith(("utf-16", "utf16", "utf-32", "utf32"))


def _seems(content: bytes) -> str:
    """The format that the first bytes of a file indicate, if it isn't text: a header may well begin with the same letters."""
    if b"\0" not in content and _is_utf8(content):
        return ""
    known = next((format_name for magic, format_name in _MAGIC.items() if content.startswith(magic)), "")
    return known or _seems_wide(content[:SAMPLE])


def _seems_wide(start: bytes) -> str:
    """UTF-16 without a mark at its beginning: of Latin letters every second byte is 0."""
    for first, encoding in ((0, "utf-16-be"), (1, "utf-16-le")):
        others = start[1 - first :: 2]
        if start[first::2].count(0) > MOSTLY * len(others) and others.count(0) < (1 - MOSTLY) * len(others):
            return f"it seems to be UTF-16 text: add `encoding: {encoding}`"
    return ""


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _not_text(content: bytes, error: UnicodeDecodeError, encoding: str) -> str:
    line = content.count(b"\n", 0, error.start) + 1
    message = f"byte {error.start} (0x{content[error.start]:02x}, in line {line}) is not {encoding.upper()} text"
    if encoding != "utf-8":
        return message
    try:
        guess = content[max(0, error.start - 20) : error.start + 20].decode("cp1252").split("\n")
    except UnicodeDecodeError:
        return message
    near = next((part.strip() for part in guess if any(ord(letter) > 127 for letter in part)), "")
    return f"{message}; with `encoding: cp1252` it would read {near!r}"
