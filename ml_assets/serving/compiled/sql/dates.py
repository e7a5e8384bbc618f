"""Dates and timestamps of features.sql, as whole days and microseconds since 1970."""

import datetime as dt
from typing import Any

from ml_assets.serving.compiled.sql.column_functions import DAY, EPOCH_DAY
from ml_assets.serving.compiled.sql.numpy_code import NumpyCode, Term
from ml_assets.serving.compiled.unsupported import Unsupported

_UNITS = {"DAY": DAY, "HOUR": 3_600_000_000, "MINUTE": 60_000_000, "SECOND": 1_000_000}
_OF_DAY = {"hour": (DAY, _UNITS["HOUR"]), "minute": (_UNITS["HOUR"], _UNITS["MINUTE"])}
_CALENDAR = ("year", "month", "day", "dayofyear")
_FIRST_DAY, _LAST_DAY = (limit.toordinal() - EPOCH_DAY for limit in (dt.date.min, dt.date.max))


def to_date(inner: Term, code: NumpyCode) -> Term:
    """CAST(... AS DATE)."""
    if inner.kind == "date":
        return inner
    if inner.kind != "timestamp":
        raise Unsupported(f"a cast from {inner.kind} to date")
    return code.strict("date", f"{inner.code} // {DAY}", [inner])


def shifted(node: Any, inner: Term, code: NumpyCode) -> Term:
    """A timestamp plus or minus an interval of fixed length."""
    length = _microseconds(node.expression)
    if inner.kind not in ("timestamp", "date") or node.key not in ("add", "sub"):
        raise Unsupported(node.sql("duckdb"))
    start = inner.code if inner.kind == "timestamp" else f"{inner.code} * {DAY}"
    return code.strict("timestamp", f"{start} {'+' if node.key == 'add' else '-'} {length}", [inner])


def _microseconds(interval: Any) -> int:
    unit, count = str(interval.args.get("unit") or "").upper().removesuffix("S"), interval.this
    if unit not in _UNITS or count.key != "literal" or not count.this.isdigit() or int(count.this) > 10_000:
        raise Unsupported(interval.sql("duckdb"))
    return int(count.this) * _UNITS[unit]


def part(node: Any, inner: Term, code: NumpyCode) -> Term:
    """A part of a date or timestamp, such as its hour."""
    name = node.key.replace("_", "")
    if name in _OF_DAY and inner.kind == "timestamp":
        of, unit = _OF_DAY[name]
        return code.strict("integer", f"{inner.code} % {of} // {unit}", [inner], within=(0, of // unit - 1))
    day = to_date(inner, code)
    if name == "dayofweekiso":
        return code.strict("integer", f"({day.code} + 3) % 7 + 1", [day], within=(1, 7))
    if name not in _CALENDAR:
        raise Unsupported(node.sql("duckdb"))
    code.sure_if(f"({day.code} >= {_FIRST_DAY}) & ({day.code} <= {_LAST_DAY})", missing=day.missing)
    return code.strict("integer", f"calendar_part({code.value(name)}, {day.code})", [day], within=(1, 9999))


PARTS = ("hour", "minute", "year", "month", "day", "dayofyear", "day_of_year", "dayofweekiso", "day_of_week_iso")
"""The functions that `part` knows, by sqlglot's names."""
