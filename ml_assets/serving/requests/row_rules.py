"""Rules across the fields of a request, from a bundle's rules.json: what the contract says of a row as a whole."""

import datetime as dt
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from ml_assets.serving.requests.field import RequestSpecRefused
from ml_assets.serving.requests.refusals import Refusal

Row = Any
Value = Callable[[Row], Any]
_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_UNARY: Mapping[str, Callable[[Any], Any]] = {"not": operator.not_, "abs": abs, "negate": operator.neg}
_EPOCH = dt.datetime(1970, 1, 1)


class RequestRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule, as in rules.json: its name, what it says in words and as a tree of operations, and the field that it is about, if
    that is a single one."""

    name: str
    text: str
    test: list[Any]
    field: str = ""


class RowRules:
    """The rules of a release, ready for rows. A missing value is as in SQL: what it is compared with is not known, and a rule
    whose result is not known is kept."""

    def __init__(self, content: bytes, attributes: Mapping[str, str]) -> None:
        """Take the bytes of rules.json, and the attribute of each field. Raises RequestSpecRefused."""
        try:
            self.rules = msgspec.json.decode(content, type=tuple[RequestRule, ...])
        except msgspec.DecodeError as error:
            raise RequestSpecRefused(f"rules.json: {error}") from error
        self._tests = [(rule, _compiled(rule.test, attributes)) for rule in self.rules]

    def broken(self, rows: Sequence[Row]) -> Iterator[Refusal]:
        """A refusal for each row and each rule that it breaks, in order."""
        for number, row in enumerate(rows) if self._tests else ():
            for rule, test in self._tests:
                if test(row) is False:
                    path = ".".join(filter(None, [f"rows[{number}]" if len(rows) > 1 else "", rule.field]))
                    yield Refusal(
                        path=path, message=f"breaks the rule '{rule.name}' of the contract: {rule.text}", allowed=rule.text
                    )


def _compiled(tree: Any, attributes: Mapping[str, str]) -> Value:
    if not isinstance(tree, list) or not tree:
        raise RequestSpecRefused(f"rules.json: {tree!r} is not an operation")
    operation, *parts = tree
    if operation == "field" and parts[0] in attributes:
        return attrgetter(attributes[parts[0]])
    if operation == "value":
        return _constant(parts[0])
    if operation == "moment":
        return _constant(_EPOCH + dt.timedelta(microseconds=parts[0]))
    if operation == "span":
        return _constant(dt.timedelta(microseconds=parts[0]))
    if operation == "is_in":
        return _is_in(_compiled(parts[0], attributes), parts[1])
    values = [_compiled(part, attributes) for part in parts]
    if operation in _BINARY and len(values) == 2:
        return _binary(_BINARY[operation], *values)
    if operation in _UNARY and len(values) == 1:
        return _unary(_UNARY[operation], values[0])
    if operation in ("and", "or"):
        return _combined(values, decisive=operation == "or")
    if operation in ("is_null", "is_not_null"):
        return _presence(values[0], is_missing=operation == "is_null")
    if operation == "coalesce":
        return lambda row: next((value for part in values if (value := part(row)) is not None), None)
    if operation == "if" and len(values) == 3:
        test, then, otherwise = values
        return lambda row: then(row) if test(row) is True else otherwise(row)
    raise RequestSpecRefused(
        f"rules.json: the operation {operation!r} is not known to this ml-assets, or its field is not in request.json"
    )


def _constant(value: Any) -> Value:
    return lambda _: value


def _presence(value: Value, *, is_missing: bool) -> Value:
    return lambda row: (value(row) is None) == is_missing


def _binary(function: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    def value(row: Row) -> Any:
        one, other = left(row), right(row)
        return None if one is None or other is None else function(one, other)

    return value


def _unary(function: Callable[[Any], Any], argument: Value) -> Value:
    def value(row: Row) -> Any:
        given = argument(row)
        return None if given is None else function(given)

    return value


def _is_in(argument: Value, listed: Sequence[Any]) -> Value:
    known = frozenset(listed)

    def value(row: Row) -> Any:
        given = argument(row)
        return None if given is None else given in known

    return value


def _combined(values: Sequence[Value], *, decisive: bool) -> Value:
    """All of them, or with `decisive` any: one such result decides, and else a missing one leaves it open."""

    def value(row: Row) -> Any:
        is_open = False
        for part in values:
            given = part(row)
            if given is decisive:
                return decisive
            is_open = is_open or given is None
        return None if is_open else not decisive

    return value
