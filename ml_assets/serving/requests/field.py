"""One field of request.json: its allowed values, as a type that msgspec enforces and as a refusal describes them."""

import datetime as dt
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from ml_assets.errors import MlAssetsError

MOST_SHOWN, SHOWN = 100, 10
"""At most this many known values are shown to a client; of more, only the first few and their number."""
_INT64 = 2**63
_TYPES: Mapping[str, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "timestamp": dt.datetime,
    "boolean": bool,
}


class RequestSpecRefused(MlAssetsError):
    """request.json describes a field in a way that the endpoint cannot enforce."""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request field, as in request.json. `known` are the values that the training saw, where all others are refused."""

    name: str
    type: Literal["string", "integer", "number", "timestamp", "boolean"]
    nullable: bool = False
    ge: int | float | None = None
    le: int | float | None = None
    isin: list[str | int] | None = None
    known: list[str | int] | None = None

    @property
    def listed(self) -> tuple[str | int, ...] | None:
        """The allowed values, where they are listed: those of `isin`, or of `known` within the other limits."""
        values: list[Any] | None = self.isin if self.known is None else self.known
        if values is None:
            return None
        least, most, among = self.ge, self.le, frozenset(values if self.isin is None else self.isin)
        within = (v for v in values if (least is None or v >= least) and (most is None or v <= most))
        return tuple(value for value in within if value in among)

    @property
    def whole_limits(self) -> tuple[int, int] | None:
        """The least and the largest allowed integer, where both are limited."""
        if self.type != "integer" or self.ge is None or self.le is None:
            return None
        return math.ceil(self.ge), math.floor(self.le)

    def allowed(self) -> dict[str, Any]:
        """Describe the allowed values, for the detail of a refusal."""
        note = {"format": "ISO 8601; in UTC where it has no zone; a date is its midnight"} if self.type == "timestamp" else {}
        limits = {"ge": self.ge, "le": self.le, "isin": self.isin} if self.known is None else self._shown()
        stated = {name: limit for name, limit in limits.items() if limit is not None}
        return {"type": self.type, "nullable": self.nullable, **note, **stated}

    def _shown(self) -> dict[str, Any]:
        known = self.listed or ()
        return {"known": known} if len(known) <= MOST_SHOWN else {"known": known[:SHOWN], "known_count": len(known)}


def annotation(field: Field) -> Any:
    """Return the type of the field's values for msgspec. Raises RequestSpecRefused."""
    has_range = field.ge is not None or field.le is not None
    if has_range and field.type not in ("integer", "number"):
        raise RequestSpecRefused(f"request.json: {field.name}: ge and le are for numbers, not {field.type}")
    if field.isin is not None or field.known is not None:
        return _or_null(field, _one_of(field))
    if field.type in ("integer", "number"):
        least, most = (-_INT64, _INT64 - 1) if field.type == "integer" else (None, None)
        limits = msgspec.Meta(ge=least if field.ge is None else field.ge, le=most if field.le is None else field.le)
        return _or_null(field, Annotated[_TYPES[field.type], limits])
    return _or_null(field, _TYPES[field.type])


def _one_of(field: Field) -> Any:
    wanted = {"string": str, "integer": int}.get(field.type)
    if wanted is None or not all(type(value) is wanted for value in [*(field.isin or ()), *(field.known or ())]):
        raise RequestSpecRefused(f"request.json: {field.name}: isin and known need values of a string or integer field")
    if not (listed := field.listed):
        raise RequestSpecRefused(f"request.json: {field.name}: no value is left that a request may have")
    return Literal[listed]


def _or_null(field: Field, annotation: Any) -> Any:
    return annotation | None if field.nullable else annotation
