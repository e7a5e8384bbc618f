"""Refusals of requests: the path of the field, what is wrong, and what is allowed."""

import json
import math
import re
from collections.abc import Callable
from typing import Any

import msgspec

_AT = re.compile(r"^(?P<message>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_FIELD = re.compile(r"^Object (?:contains|missing) (?P<kind>unknown|required) field `(?P<name>.*)`$", re.DOTALL)
_SHOWN = 200
_REASONS = {400: "not_json", 422: "field", 503: "not_ready"}


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a request."""

    path: str
    message: str
    allowed: Any = None


class BadRequest(Exception):
    """The request is the client's mistake: a 4xx status and its reasons. Never an error of ours."""

    def __init__(self, status: int, detail: list[Refusal], *, reason: str | None = None) -> None:
        """Take the status and its reasons; the first one is the message."""
        super().__init__(detail[0].message)
        self.status = status
        self.detail = detail
        self.reason = reason or _REASONS.get(status, "other")
        """A word for the metrics."""

    def body(self) -> bytes:
        """Return the JSON body of the reply."""
        return msgspec.json.encode({"detail": self.detail})


def body_too_large(limit: int) -> BadRequest:
    """The refusal of a body over `limit` bytes."""
    message = f"the body is over {limit} bytes; send fewer rows at once"
    return BadRequest(413, [Refusal(path="", message=message)], reason="body_too_large")


def refusal(message: str, allowed: Callable[[str], Any]) -> Refusal:
    """Turn msgspec's message into a refusal; `allowed` describes the allowed values at a path."""
    match = _AT.match(message)
    text, path = (match["message"], match["path"] or "") if match else (message, "")
    path = path.lstrip(".")
    if field := _FIELD.match(text):
        path = f"{path}.{_cut(field['name'])}".lstrip(".")
        text = "unknown field" if field["kind"] == "unknown" else "required field is missing"
    text = text.replace("Number out of range", "must be a finite number")
    return Refusal(path=_cut(path), message=_cut(text), allowed=allowed(path))


def not_finite(body: bytes) -> str | None:
    """Return the path of the first NaN or infinity in a body that is otherwise JSON, None in any other body."""
    try:
        return _path_of_non_finite(json.loads(body), "")
    except (ValueError, RecursionError):
        return None


def _path_of_non_finite(value: Any, path: str) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    if isinstance(value, dict):
        children = [(f"{path}.{key}".lstrip("."), child) for key, child in value.items()]
    elif isinstance(value, list):
        children = [(f"{path}[{number}]", child) for number, child in enumerate(value)]
    else:
        return None
    return next((inner for at, child in children if (inner := _path_of_non_finite(child, at))), None)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def repeated_field(body: bytes) -> str | None:
    """Return the path of a field that an object of a JSON body names twice, None without one."""
    twice: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            names = [name for name, _ in pairs]
            twice.append(_cut(next(name for name in names if names.count(name) > 1)))
        return fields

    json.loads(body, object_pairs_hook=look, parse_int=len)  # the values are checked already, and may be long
    return twice[0] if twice else None
