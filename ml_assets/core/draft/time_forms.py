"""The form in which a column of texts or whole numbers is moments: the `datetime_format` of its table."""

import re
import shlex
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import product

import polars as pl

from ml_assets.core.contract.casting import cast, finer_than_microseconds
from ml_assets.core.draft.csv_dialect import ENOUGH
from ml_assets.core.draft.request import DraftRefused
from ml_assets.spec.delivery import EPOCHS, ReferenceSpec

DATES = (
    "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y",
    "%d-%m-%y", "%m-%d-%y", "%B %d, %Y", "%B %d %Y", "%d %B %Y", "%d. %B %Y", "%d-%B-%Y", "%d-%B-%y", "%d%B%Y", "%Y-%m-%d",
)  # fmt: skip
"""%B reads short names of months too."""
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%I:%M %p", "%I:%M:%S %p")
DIGITS = ("%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S")
"""Moments that are also whole numbers."""
TIME_FORMATS = (
    *DATES,
    *(date + between + clock for date, between, clock in product(DATES, (" ", ", ", "T"), CLOCKS)),
    *DIGITS, "%d%B%Y:%H:%M:%S", "%a, %d %B %Y %H:%M:%S GMT", "%a %B %d %H:%M:%S %Y", "%Y-%m",
)  # fmt: skip
SAMPLE = 50
_TWO_WAYS = re.compile(r"^%d[/-]%m|^%m[/-]%d")
_TIME_NAME = re.compile(r"(?i)(time|date|epoch|stamp|_at$|^at$|^ts$|_ts$)")
"""Names of columns whose large whole numbers are moments."""
_SEEMS_A_TIME = r"\d[-./ ]\w{1,9}[-./, ]+\d|\d:\d\d|\d{4}-?[WQ]\d"


def time_format(values: pl.Series, table: ReferenceSpec) -> str | None:
    """The format in which nearly all of these texts or whole numbers are moments; None if there is none. Raises DraftRefused
    where day and month cannot be told apart."""
    known = values.drop_nulls().cast(pl.String)
    known = known.filter(known != "")
    if known.is_empty() or not known.str.contains(r"\d").all():
        return None
    if epoch := epoch_unit(values):
        return epoch
    sample = known.unique(maintain_order=True).head(SAMPLE)
    likely = [form for form in ("iso", *TIME_FORMATS) if _share(sample, table, form) > 0.5]
    fitting = [form for form in likely if _share(known, table, form) >= ENOUGH]
    if not fitting:
        return None
    swapped = [form for form in fitting if _TWO_WAYS.match(form)]
    if len({form[:2] for form in swapped}) > 1:
        example = known.unique().sort().to_list()[0]
        raise DraftRefused(
            f"{values.name}: {example!r} may be day/month or month/day, and every value reads as both; say which: "
            f"--time-format '{swapped[0]}' or '{swapped[1]}'"
        )
    return fitting[0]


def epoch_unit(values: pl.Series) -> str | None:
    """The unit in which nearly all of these numbers are moments of this century, of a column that is named like a time; None if
    there is none."""
    return _epoch(values) if _TIME_NAME.search(values.name) else None


def are_moments(values: pl.Series, table: ReferenceSpec) -> bool:
    """Whether nearly all of these texts or whole numbers are moments in the format of the table."""
    form = table.datetime_format
    return epoch_unit(values) == form if form in EPOCHS else _share(values.drop_nulls().cast(pl.String), table, form) >= ENOUGH


def is_of_digits(form: str) -> bool:
    """Whether moments of this form are whole numbers as well."""
    return form in EPOCHS or form in DIGITS


def unread_times(columns: Iterable[pl.Series]) -> Iterator[str]:
    """Notes about columns that seem to hold moments which were not read as such."""
    for values in columns:
        known, name = values.drop_nulls(), values.name
        option = f"--time {shlex.quote(name)} --time-format"
        if known.dtype == pl.String and _mean(known.str.contains(_SEEMS_A_TIME)) >= ENOUGH:
            example = known.head(1).to_list()[0]
            if finer_than_microseconds(known).any():
                yield f"{name} holds times finer than microseconds, such as {example!r}; deliver them rounded"
            else:
                seems = f"{name} seems to hold times in a form that is not known here, such as {example!r}"
                yield f"{seems}; if so, say how they are written: {option} '%d.%m.%Y %H:%M'"
        elif known.dtype.is_integer() and (unit := _epoch(known)):
            yield f"{name} may count {unit.removeprefix('epoch_')} since 1970; if so: {option} {unit}"


def _epoch(values: pl.Series) -> str | None:
    numbers = values.drop_nulls().cast(pl.Int64, strict=False)
    for form, unit in EPOCHS.items():
        first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 // unit for year in (2000, 2100))
        if len(numbers) and _mean(numbers.is_between(first, last)) >= ENOUGH:
            return form
    return None


def _share(known: pl.Series, table: ReferenceSpec, form: str) -> float:
    done = cast(known, pl.Datetime("us"), table=table.model_copy(update={"datetime_format": form}))
    first, last = (1900, 2100) if form in DIGITS else (1000, 3000)
    return _mean(done.dt.year().is_between(first, last, closed="left"))


def _mean(flags: pl.Series) -> float:
    return float(flags.fill_null(value=False).mean() or 0.0)  # type: ignore[arg-type]
