"""The mistakes in a body, field by field: searched for only after a refusal, so that a client learns all of it at once."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from ml_assets.serving.requests.refusals import Refusal, refusal

MOST_NAMED = 20
"""Fields of one body that a refusal names."""
MIDNIGHT = b"T00:00:00"
_DATE = re.compile(rb'"(\d{4}-\d{2}-\d{2})"')
_ROWS = "rows"
Row = Mapping[str, msgspec.Raw]
_SHAPE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def with_moments(body: bytes, timestamps: frozenset[str]) -> bytes | None:
    """The body with the midnight (UTC) in the place of each bare date of these fields; None where it has none, or is not a
    row."""
    rows, is_many = _rows(body)
    is_any = False
    written = []
    for row in rows:
        moments = {name: moment for name in timestamps & row.keys() if (moment := _moment(row[name])) is not None}
        is_any = is_any or bool(moments)
        written.append({**row, **moments})
    if not is_any:
        return None
    return msgspec.json.encode({_ROWS: written} if is_many else written[0])


def every_refusal(
    body: bytes, first: Refusal, decoders: Mapping[str, Any], *, allowed: Callable[[str], Any], forbids_unknown: bool
) -> list[Refusal]:
    """Everything that is wrong with the fields of a body, the refusal that is known `first`; at most MOST_NAMED of them."""
    rows, is_many = _rows(body)
    by_path = {first.path: first}
    for number, row in enumerate(rows):
        where = f"{_ROWS}[{number}]." if is_many else ""
        for reason in _of_row(row, where, decoders, allowed=allowed, forbids_unknown=forbids_unknown):
            by_path.setdefault(reason.path, reason)
            if len(by_path) > MOST_NAMED:
                return [
                    *list(by_path.values())[:MOST_NAMED],
                    Refusal(path="", message="more fields are wrong than are named here"),
                ]
    return list(by_path.values())


def _of_row(
    row: Row, where: str, decoders: Mapping[str, Any], *, allowed: Callable[[str], Any], forbids_unknown: bool
) -> Iterator[Refusal]:
    for name, decoder in decoders.items():
        if name not in row:
            yield Refusal(path=f"{where}{name}", message="required field is missing", allowed=allowed(name))
            continue
        try:
            decoder.decode(row[name])
        except msgspec.DecodeError as error:
            unknown = refusal(str(error), allowed)
            yield Refusal(path=f"{where}{name}", message=unknown.message, allowed=allowed(name))
    if forbids_unknown:
        yield from (
            refusal(f"Object contains unknown field `{name}` - at `$.{where.rstrip('.')}`", allowed)
            for name in row
            if name not in decoders
        )


def _rows(body: bytes) -> tuple[list[dict[str, msgspec.Raw]], bool]:
    """The rows of a body as far as they are objects, and whether they are in a list; none of what isn't JSON."""
    try:
        whole = _SHAPE.decode(body)
        if _ROWS in whole:
            return _LIST.decode(whole[_ROWS]), True
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [], False
    return [whole], False


def _moment(value: msgspec.Raw) -> msgspec.Raw | None:
    match = _DATE.fullmatch(bytes(value).strip())
    return msgspec.Raw(b'"' + match[1] + MIDNIGHT + b'"') if match else None
