"""Strict requests from a bundle's request.json: no coercion, no unknown field, and every refusal names its field."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from keyword import iskeyword
from operator import attrgetter
from typing import Annotated, Any, Literal, cast

import msgspec

from ml_assets.serving.requests.all_mistakes import MOST_NAMED, every_refusal, with_moments
from ml_assets.serving.requests.byte_counts import colons, count
from ml_assets.serving.requests.field import Field, RequestSpecRefused, annotation
from ml_assets.serving.requests.refusals import BadRequest, Refusal, body_too_large, not_finite, refusal, repeated_field
from ml_assets.serving.requests.row_rules import RequestRule, RowRules

POSSIBLE_YEARS = range(1583, 2200)
"""Years of the Gregorian calendar in which a question may be asked: 1399 is the year of another one."""
NO_RULES = b"[]"
_NOT_LISTED = "Invalid enum value"
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)


@dataclass(frozen=True)
class Limits:
    """The largest request that is accepted, and whether fields outside of the contract are."""

    body_bytes: int = 2_000_000
    rows: int = 1000
    unknown_fields: Literal["refuse", "ignore"] = "refuse"


class RequestDecoder:
    """Turns a body into rows (msgspec structs with the fields in order), or raises BadRequest.

    `key`: the fields that name a question, which no two rows of a request share; `time`: the one that says when it is asked.
    """

    def __init__(
        self,
        content: bytes,
        *,
        limits: Limits | None = None,
        key: Sequence[str] = (),
        time: str = "",
        rules: bytes = NO_RULES,
    ) -> None:
        """Build the row type from the bytes of request.json; `rules` are those of rules.json, across fields."""
        self.limits = limits or Limits()
        self.fields = _fields(content)
        self._time = time
        self.attributes = {field.name: _attribute(field.name, number) for number, field in enumerate(self.fields)}
        self._rules = RowRules(rules, self.attributes)
        self.row_type = msgspec.defstruct(
            "Request",
            [(self.attributes[field.name], annotation(field)) for field in self.fields],
            rename={attribute: name for name, attribute in self.attributes.items()},
            forbid_unknown_fields=self.limits.unknown_fields == "refuse",
            frozen=True,
            gc=False,
        )
        rows = Annotated[list[self.row_type], msgspec.Meta(min_length=1, max_length=self.limits.rows)]  # type: ignore[name-defined]
        many = msgspec.defstruct("Requests", [("rows", rows)], forbid_unknown_fields=True)
        self._allowed_values = {field.name: field.allowed() for field in self.fields}
        self._timestamps = {field.name: self.attributes[field.name] for field in self.fields if field.type == "timestamp"}
        self._refuse_unknown = frozenset(field.name for field in self.fields if field.known is not None)
        self._key = tuple(key) if set(key) <= self.attributes.keys() else ()  # features may name a question by what they make
        self._decoders = {field.name: msgspec.json.Decoder(annotation(field)) for field in self.fields}
        self._one = msgspec.json.Decoder(self.row_type)
        self._many = msgspec.json.Decoder(many)
        self._shape = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._most_openings = self.limits.rows + 2  # the object, its list and the rows; fields hold no objects

    @property
    def rules(self) -> tuple[RequestRule, ...]:
        """The rules across fields that each row is held to."""
        return self._rules.rules

    def decode(self, body: bytes) -> Sequence[msgspec.Struct]:
        """Decode the rows of a body: one object, or {"rows": [...]}. Raises BadRequest."""
        if len(body) > self.limits.body_bytes:
            raise body_too_large(self.limits.body_bytes)
        self._refuse_nested(body)
        try:
            rows, names = self._rows(body)
            twice = repeated_field(body) if colons(body) != names else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # also raised by a second look at what the first one skipped: for every mistake, or for a field that is there twice
            raise self._malformed(body, error) from error
        if twice is not None:
            raise BadRequest(422, [Refusal(path=twice, message="the field is there twice", allowed=self._allowed(twice))])
        possible = self._possible(self._in_utc(rows))
        if self._rules.rules and (broken := [*islice(self._rules.broken(possible), MOST_NAMED)]):
            raise BadRequest(422, broken, reason="rule")
        return possible

    def _rows(self, body: bytes, *, may_have_dates: bool = True) -> tuple[list[msgspec.Struct], int]:
        """The rows of a body, and how many names of fields it should have. A bare date of a timestamp is its midnight: looked
        for only where the body was refused. Raises BadRequest, and what a decoder raises of a body that is not JSON."""
        try:
            if body[:8] == b'{"rows":' or "rows" in self._shape.decode(body):
                rows = cast("list[msgspec.Struct]", self._many.decode(body).rows)  # type: ignore[attr-defined]
                return rows, len(rows) * len(self.fields) + 1
            return [self._one.decode(body)], len(self.fields)
        except msgspec.ValidationError as error:
            if may_have_dates and (dated := with_moments(body, frozenset(self._timestamps))) is not None:
                return self._rows(dated, may_have_dates=False)
            raise self._invalid(error, body) from error

    def convert(self, requests: Sequence[Mapping[str, Any]]) -> Sequence[msgspec.Struct]:
        """Convert parsed objects, under the same rules; timestamps may be text or datetimes. Raises BadRequest."""
        try:
            return self._in_utc([msgspec.convert(request, self.row_type) for request in requests])
        except msgspec.ValidationError as error:
            raise self._invalid(error) from error

    def _in_utc(self, rows: list[msgspec.Struct]) -> list[msgspec.Struct]:
        """The rows, with timestamps that came with a zone as naive UTC. Raises BadRequest."""
        for number, row in enumerate(rows):
            zoned = {name: at for name, at in self._timestamps.items() if getattr(getattr(row, at), "tzinfo", None)}
            if zoned:
                where = f"rows[{number}]." if len(rows) > 1 else ""
                naive = {at: self._naive(getattr(row, at), name, where + name) for name, at in zoned.items()}
                rows[number] = msgspec.structs.replace(row, **naive)
        return rows

    def _possible(self, rows: list[msgspec.Struct]) -> list[msgspec.Struct]:
        """The rows, each of a question of its own and asked at a possible time. Raises BadRequest."""
        if at := self._timestamps.get(self._time):
            for number, row in enumerate(rows):
                moment = getattr(row, at)
                if moment is not None and moment.year not in POSSIBLE_YEARS:
                    about = f"no request is about the year {moment.year}; allowed: {POSSIBLE_YEARS[0]} to {POSSIBLE_YEARS[-1]}"
                    path = f"rows[{number}].{self._time}" if len(rows) > 1 else self._time
                    raise BadRequest(422, [Refusal(path=path, message=about, allowed=self._allowed(self._time))])
        if len(rows) > 1 and self._key:
            self._refuse_repeated_keys(rows)
        return rows

    def _refuse_repeated_keys(self, rows: list[msgspec.Struct]) -> None:
        keys = list(map(attrgetter(*(self.attributes[name] for name in self._key)), rows))
        if len(set(keys)) == len(rows):
            return
        first: dict[Any, int] = {}
        for number, key in enumerate(keys):
            if (other := first.setdefault(key, number)) != number:
                about = f"the key is that of rows[{other}]; each row asks about another one"
                path = f"rows[{number}].{self._key[0]}"
                raise BadRequest(
                    422, [Refusal(path=path, message=about, allowed=self._allowed(self._key[0]))], reason="key_twice"
                )

    def _naive(self, moment: dt.datetime, name: str, path: str) -> dt.datetime:
        try:
            return moment.astimezone(dt.UTC).replace(tzinfo=None)
        except OverflowError:
            about = f"{moment.isoformat()} is in UTC no time of the years 1 to 9999"
            raise BadRequest(422, [Refusal(path=path, message=about, allowed=self._allowed(name))]) from None

    def _refuse_nested(self, body: bytes) -> None:
        """Refuse, before parsing, more objects and lists than the most rows need; that bounds the depth too."""
        if not self._opens_more(body):
            return
        outside = _STRING.sub(b"", body)  # brackets in text open nothing
        if self._opens_more(outside):
            about = f"more than {self.limits.rows} rows, or nested too deeply"
            raise BadRequest(422, [Refusal(path="rows", message=about, allowed=self._allowed("rows"))], reason="too_many_rows")

    def _opens_more(self, body: bytes) -> bool:
        return count(body, b"{") + count(body, b"[") > self._most_openings

    def _invalid(self, error: msgspec.ValidationError, body: bytes = b"") -> BadRequest:
        """Everything that is wrong with the fields; `body` is empty where there was none."""
        first, forbids = refusal(str(error), self._allowed), self.limits.unknown_fields == "refuse"
        every = every_refusal(body, first, self._decoders, allowed=self._allowed, forbids_unknown=forbids) if body else [first]
        detail = [self._as_unknown(reason) for reason in every]
        return BadRequest(422, detail, reason="unknown_category" if detail[0] != every[0] else None)

    def _as_unknown(self, reason: Refusal) -> Refusal:
        """A category that the training never saw, named as such."""
        if _name(reason.path) not in self._refuse_unknown or not reason.message.startswith(_NOT_LISTED):
            return reason
        return msgspec.structs.replace(reason, message=reason.message.replace(_NOT_LISTED, "the training saw no", 1))

    def _malformed(self, body: bytes, error: Exception) -> BadRequest:
        if path := not_finite(body):
            return BadRequest(422, [Refusal(path=path, message="must be a finite number", allowed=self._allowed(path))])
        if isinstance(error, RecursionError):
            return BadRequest(400, [Refusal(path="", message="the body is nested too deeply")])
        return BadRequest(400, [Refusal(path="", message=f"the body is not JSON: {error}")])

    def _allowed(self, path: str) -> Any:
        if path == "rows":
            return {"type": "array", "rows": [1, self.limits.rows]}
        return self._allowed_values.get(_name(path), sorted(self._allowed_values))


def _attribute(name: str, number: int) -> str:
    """The attribute of a row for a field: its name, unless that is not a name of Python's."""
    return name if name.isidentifier() and not iskeyword(name) else f"field_{number}"


def _name(path: str) -> str:
    return path.rpartition(".")[2]


def _fields(content: bytes) -> tuple[Field, ...]:
    try:
        fields = msgspec.json.decode(content, type=tuple[Field, ...])
    except msgspec.DecodeError as error:
        raise RequestSpecRefused(f"request.json: {error}") from error
    names = [field.name for field in fields]
    if not names or len(set(names)) < len(names) or "rows" in names:
        raise RequestSpecRefused(f"request.json: needs fields with different names, none of them 'rows': {names}")
    return fields
