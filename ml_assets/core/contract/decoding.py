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
    b"\x28\xb5\x2f\xfd": "it is compressed with zstd: deliver it as it is, or with gzip",
    b"\xfd7zXZ": "it is compressed with xz: deliver it as it is, or with gzip",
    b"BZh": "it is compressed with bzip2: deliver it as it is, or with gzip",
    b"\xff\xfe": "it is UTF-16 text: add `encoding: utf-16`",
    b"\xfe\xff": "it is UTF-16 text: add `encoding: utf-16`",
}
_SEPARATORS = {";": '";"', "\t": '"\\t"', "|": '"|"', ",": '","'}


class Undecodable(Exception):
    """The reason why bytes are not the declared text, as a clause, with the line to add where there is one."""


def decoded(content: bytes, *, table: ReferenceSpec) -> str:
    """The text of a delivered CSV file, with line feeds alone between lines where it has no other. Raises Undecodable."""
    if table.compression == "gzip":
        content = _expanded(content)
    if (seems := _seems(content)) and table.encoding == "utf-8":
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


def _expanded(content: bytes) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        raise Undecodable("it is not compressed, and `compression: gzip` is declared")
    try:
        with gzip.open(io.BytesIO(content)) as file:
            expanded = file.read(MOST_EXPANDED + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Undecodable(f"the gzip file is damaged or was cut short: {error}") from None
    if len(expanded) > MOST_EXPANDED:
        raise Undecodable(f"the gzip file holds more than {MOST_EXPANDED >> 30} GiB")
    return expanded


def _seems(content: bytes) -> str:
    """The format that the first bytes of a file indicate, if it isn't text: a header may well begin with the same letters."""
    if b"\0" not in content and _is_utf8(content):
        return ""
    return next((format_name for magic, format_name in _MAGIC.items() if content.startswith(magic)), "")


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
