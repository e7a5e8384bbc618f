"""The limits of a column that a contract can hold: range, levels, pattern, missing values; each with the rows behind it.

A limit is wider than what was observed, so that the next delivery fits; and no wider, so that values of another unit or another
column don't.
"""

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import ceil

import polars as pl

from ml_assets.core.draft.columns import SourceColumn

MOST_LEVELS = 60
UNSEEN = 0.001
"""Levels are complete where at most this share of rows has one that was seen only once (Good 1953, Biometrika 40)."""
MARGIN = Decimal("0.25")
"""By this share of the observed range a range is wider on either side."""
FAR = 20.0
"""A value further from the middle than this many times the range of all but a thousandth is taken for a mistake."""
MOST_FAR = 0.0005
MOST_MISSING = 0.99
INTEGERS = (-(2**63), 2**63 - 1)
"""The whole numbers that a column of integers can hold."""
_CALENDAR = {"month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "ordinal_day": (1, 366), "weekday": (1, 7)}


@dataclass(frozen=True)
class ColumnLimits:
    """`arguments` are those of pandera's Field, as Python text; `behind` says of how many rows each is true."""

    arguments: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    behind: str = ""


def limits_of(column: SourceColumn, *, time: SourceColumn | None, codes: pl.Series, is_key: bool, is_after: bool) -> ColumnLimits:
    """The limits of one column. `codes` (rows,): the partition of each row, null for rows of none."""
    known = column.known
    arguments: dict[str, str] = {}
    facts: list[str] = []
    if column.kind == "empty":
        facts.append("no row has a value")
    elif column.is_number and not is_key:
        arguments, facts = _range(column, time, codes)
    elif column.form:
        arguments, facts = {"str_matches": _raw(column.form.pattern)}, [f"numbers written like {column.form.example!r}"]
    elif column.kind == "text" and not is_key:
        arguments, facts = _texts(known, codes.filter(column.values.is_not_null()))
    elif column.kind == "text":
        pattern, words = _pattern(known)
        arguments, facts = ({"str_matches": pattern} if pattern else {}), [words]
    elif column.kind == "time" and column is not time:
        arguments, facts = _moments(known)
    elif column.kind == "boolean":
        facts.append(f"true in {known.sum() / len(known):.1%} of rows")
    elif is_key and column.is_number:
        arguments, facts = {"ge": "0"} if (known >= 0).all() else {}, [f"{known.min()!s} to {known.max()!s}, all different"]
    nullable, metadata, missing = _missing(column, codes)
    if is_after:
        metadata = {"known": '"after"', **metadata}
    fits = f"{column.misfits:,} rows hold no {column.kind}" if column.misfits else ""
    return ColumnLimits({**nullable, **arguments}, metadata, "; ".join(filter(None, [*facts, missing, fits])))


def of_classes(limits: ColumnLimits, classes: Sequence[str | int]) -> ColumnLimits:
    """The limits of a label of several classes: these and no others, for a model knows no score of another one."""
    kept = {name: text for name, text in limits.arguments.items() if name == "nullable"}
    listed = ", ".join(_text(name) if isinstance(name, str) else str(name) for name in classes)
    return replace(limits, arguments={**kept, "isin": f"[{listed}]"})


def nice(value: Decimal | float, *, step: Decimal | float, up: bool) -> Decimal:
    """The value rounded outwards to a step, exactly."""
    exact, unit, hair = Decimal(str(value)), Decimal(str(step)), Decimal("1e-9")
    steps = (exact / unit - hair if up else exact / unit + hair).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return steps * unit


def _range(column: SourceColumn, time: SourceColumn | None, codes: pl.Series) -> tuple[dict[str, str], list[str]]:
    """In decimals: floats tell identifiers of 19 digits from each other as little as the 13th digit of a constant."""
    part = next((part for part in _CALENDAR if time is not None and _is_part(column, time, part)), None)
    if part and time is not None:
        first, last = _CALENDAR[part]
        return {"ge": str(first), "le": str(last)}, [f"it is the {part.replace('_', ' ')} of {time.name} in every row"]
    inside, far = _without_far(column.known)
    low, high = (Decimal(str(value)) for value in (inside.min(), inside.max()))
    bounds = (low, high) if low == high else _wider(low, high, column, _trend(column.values, codes))
    limits = [_literal(bound, whole=column.kind == "integer") for bound in bounds]
    within = float(column.known.is_between(*limits).mean() or 0.0)  # type: ignore[arg-type]
    fact = f"{_shown(inside.min())} to {_shown(inside.max())} observed; {_share(within)} within the limits"
    outside = f"{len(far):,} rows are far outside ({', '.join(map(_shown, far.unique().head(3)))})" if len(far) else ""
    return {"ge": repr(limits[0]), "le": repr(limits[1])}, [fact, *([outside] if outside else [])]


def _wider(low: Decimal, high: Decimal, column: SourceColumn, trend: float) -> tuple[Decimal, Decimal]:
    width = high - low
    room = max(MARGIN * width, Decimal(str(trend)))
    step = Decimal(10) ** (width.adjusted() - 1)
    least, most = nice(low - room, step=step, up=False), nice(high + room, step=step, up=True)
    if low >= 0:
        least = max(least, Decimal(0))
        if high <= 1 and column.kind == "number" and high > Decimal("0.5"):
            most = Decimal(1)
        elif high == 100:
            most = high
    return least, min(most, Decimal(0)) if high <= 0 else most


def _literal(bound: Decimal, *, whole: bool) -> int | float:
    if whole:
        return min(max(int(bound), INTEGERS[0]), INTEGERS[1])
    return int(bound) if bound == int(bound) and abs(bound) < 10**15 else float(bound)


def _trend(values: pl.Series, codes: pl.Series) -> float:
    """By how much the mean of a delivery moved between the first and the last quarter of the deliveries."""
    exact = values.cast(pl.Int128) if values.dtype.is_integer() else values
    rows = pl.DataFrame({"value": exact, "partition": codes}).drop_nulls()
    above = rows.with_columns((pl.col("value") - pl.col("value").min()).cast(pl.Float64))
    means = above.group_by("partition").agg(pl.col("value").mean()).sort("partition")["value"]
    quarter = max(1, len(means) // 4)
    return abs(float(means.tail(quarter).mean()) - float(means.head(quarter).mean())) if len(means) else 0.0  # type: ignore[arg-type]


def _without_far(values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Values, and the few that are so far off that they are taken for mistakes."""
    floats = values.cast(pl.Float64)
    low, high = float(floats.quantile(0.0005) or 0.0), float(floats.quantile(0.9995) or 0.0)
    middle, width = float(floats.median() or 0.0), max(high - low, 1e-12)  # type: ignore[arg-type]
    is_far = (floats - middle).abs() > FAR * width
    share = float(is_far.mean() or 0.0)  # type: ignore[arg-type]
    return (values.filter(~is_far), values.filter(is_far)) if 0 < share <= MOST_FAR else (values, values.clear())


def _texts(known: pl.Series, codes: pl.Series) -> tuple[dict[str, str], list[str]]:
    counts = known.value_counts(sort=True)
    levels, single = counts.height, counts.filter(pl.col("count") == 1).height
    if levels <= MOST_LEVELS and single / len(known) <= UNSEEN and _no_level_is_new(known, codes):
        names = sorted(counts[known.name].to_list())
        return {"isin": f"[{', '.join(map(_text, names))}]"}, [
            f"{levels} levels in all rows, {_share(single / len(known))} with a level of its own"
        ]
    pattern, words = _pattern(known)
    return ({"str_matches": pattern} if pattern else {}), [f"{levels:,} levels, new ones keep coming", words]


def _no_level_is_new(known: pl.Series, codes: pl.Series) -> bool:
    """Whether the second half of the deliveries brought hardly a level that the first half had not."""
    rows = pl.DataFrame({"value": known, "partition": codes}).drop_nulls()
    keys = rows["partition"].unique().sort()
    if len(keys) < 2:
        return True
    is_first = rows["partition"].is_in(keys.head(len(keys) // 2).to_list())
    new = ~rows["value"].is_in(rows.filter(is_first)["value"].unique().to_list()) & ~is_first
    return int(new.sum()) <= UNSEEN * max(1, int((~is_first).sum()))


def _pattern(known: pl.Series) -> tuple[str, str]:
    """A pattern of the characters and lengths that occur, as Python text, and how many rows it is of."""
    lengths = known.str.len_chars()
    low, high = (int(lengths.quantile(share) or 0) for share in (0, 1))
    letters = set("".join(known.unique().to_list()))
    classes = [f"{a}-{z}" for a, z, members in _CLASSES if letters & members]
    rest = sorted(letters - set().union(*(members for *_, members in _CLASSES)))
    if any(ord(letter) > 127 and letter.isalpha() for letter in rest):
        # the letters of all languages and digits, to Python as to Polars; only the latter knows `\p{L}`
        classes, rest = [r"\w"], [letter for letter in rest if not (letter.isalpha() or letter == "_")]
    if any(not letter.isprintable() or ord(letter) > 127 for letter in rest):
        return "", f"{low} to {high} characters of all kinds"
    least, most = (low, high) if low == high else (low // 2, ceil(high * 1.5))
    pattern = f"^[{''.join(classes)}{''.join(re.escape(letter) for letter in rest)}]{{{least},{most}}}$"
    return _raw(pattern), f"{low} to {high} characters observed; the pattern fits all rows"


_CLASSES = (
    ("A", "Z", set(string.ascii_uppercase)),
    ("a", "z", set(string.ascii_lowercase)),
    ("0", "9", set(string.digits)),
)


def _moments(known: pl.Series) -> tuple[dict[str, str], list[str]]:
    low, high = known.min(), known.max()
    assert isinstance(low, datetime)
    assert isinstance(high, datetime)
    first = datetime(low.year, 1, 1) - timedelta(days=0 if low > datetime(low.year, 2, 1) else 366)
    return {"ge": _moment(first)}, [f"{low!s} to {high!s} observed"]


def _missing(column: SourceColumn, codes: pl.Series) -> tuple[dict[str, str], dict[str, str], str]:
    if not column.missing:
        return {}, {}, "never missing"
    share = column.missing / column.rows
    per = pl.DataFrame({"missing": column.values.is_null(), "partition": codes}).drop_nulls()
    worst = float(per.group_by("partition").agg(pl.col("missing").mean())["missing"].max() or 0.0) if per.height else share  # type: ignore[arg-type]
    most = min(MOST_MISSING, float(nice(max(2 * worst, worst + 0.02), step=0.01, up=True)))
    words = f"missing in {_share(share)}, at most {worst:.2%} of a delivery"
    return {"nullable": "True"}, ({"max_missing": f"{most:g}"} if worst < 1 else {}), words


def _is_part(column: SourceColumn, time: SourceColumn, part: str) -> bool:
    if column.kind != "integer":
        return False
    own = getattr(time.values.dt, part)().cast(pl.Int64)
    return column.values.equals(own.alias(column.name))


def _share(share: float) -> str:
    return "all rows" if share == 1 else "no row" if share == 0 else f"{share:.2%} of rows"


def _shown(value: object) -> str:
    return str(value) if isinstance(value, int) else f"{value:.12g}"


def _text(value: str) -> str:
    return (
        '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'
    )


def _raw(pattern: str) -> str:
    return f'r"{pattern}"' if '"' not in pattern else repr(pattern)


def _moment(value: datetime) -> str:
    return f"datetime({value.year}, {value.month}, {value.day})"
