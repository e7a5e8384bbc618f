"""Delivered values to contract types, exactly: a value that does not fit becomes null, which the contract engine reports.

Nothing is rounded or cut off. Which source gives which target is the table of `_EXACT` and `_from_text`; what is not in it gives
nulls alone.
"""

from collections.abc import Callable, Sequence

import polars as pl

from ml_assets.spec.delivery import EPOCHS, ReferenceSpec

_STAMPS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_ZONED_STAMP = "%Y-%m-%dT%H:%M:%S%.f%#z"
_FINER_THAN_MICROSECONDS = r"\.\d{6}0*[1-9]"
_BOOLEANS = {"true": True, "t": True, "1": True, "1.0": True, "false": False, "f": False, "0": False, "0.0": False}
_EXACT_FLOAT = 2**53
WIDE_INTEGERS = (pl.UInt64, pl.Int128)
"""Types with whole numbers beyond 64 bits with a sign, which is what an integer of a contract is."""
_WHOLE_TEXT = r"^\s*[+-]?\d+(\.0*)?\s*$"


def without_nulls_in_words(column: pl.Series, *, null_values: Sequence[str]) -> pl.Series:
    """The column with null where the delivery spells a missing value (NA, an empty text, NaN in a typed file)."""
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        return column.set(column.is_in(list(null_values)), None) if null_values else column
    return column.fill_nan(None) if column.dtype.is_float() else column


def cast(column: pl.Series, dtype: pl.DataType, *, table: ReferenceSpec) -> pl.Series:
    """The column as `dtype`; null where a value is none (10.5 is not an integer, NaN no number, 30 February no date)."""
    if column.dtype == pl.Null:
        return column.cast(dtype)
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        done = _from_text(_with_points(column, dtype, table), dtype, table)
    else:
        done = _from_typed(column, dtype, table)
    return done.set(done.is_infinite() | done.is_nan(), None) if dtype.is_float() else done


def _with_points(column: pl.Series, dtype: pl.DataType, table: ReferenceSpec) -> pl.Series:
    """Numbers with a decimal point, where the table declares another sign; one that has a point as well is not a number then."""
    if table.decimal == "." or not dtype.is_numeric():
        return column
    return column.set(column.str.contains(".", literal=True), "").str.replace(table.decimal, ".", literal=True)


def _from_text(column: pl.Series, dtype: pl.DataType, table: ReferenceSpec) -> pl.Series:
    if dtype == pl.Boolean:
        return column.str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
    if isinstance(dtype, pl.Datetime | pl.Date):
        return _exactly(_moments(column, table), dtype)
    if dtype.is_integer():
        return _whole_texts(column, dtype)
    if dtype.is_float():
        return _whole_or_nearest(column, dtype)
    if isinstance(dtype, pl.Decimal):
        return _exactly(column.cast(pl.Decimal(38, 18), strict=False), dtype).set(_digits_beyond(column, dtype.scale), None)
    return column.cast(dtype, strict=False)


def _whole_texts(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Whole numbers of any length, also as "10.0", which is how pandas writes integers next to missing values, and "1e3"."""
    done = column.str.strip_chars().str.replace(r"\.0*$", "").cast(dtype, strict=False)
    if done.null_count() == column.null_count():
        return done
    scientific = column.set(column.str.contains(_WHOLE_TEXT), None).cast(pl.Float64, strict=False)
    return done.zip_with(done.is_not_null(), _whole(scientific, dtype))


def _whole_or_nearest(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """The nearest float, as always, but for whole numbers that have more digits than a float keeps."""
    done = column.cast(dtype, strict=False)
    if not (large := done.abs() >= _EXACT_FLOAT).any():
        return done
    exact = _whole_texts(column, pl.Int128())
    return done.set((large & exact.is_not_null() & (done.cast(pl.Int128, strict=False) != exact)).fill_null(False), None)


def _digits_beyond(column: pl.Series, scale: int) -> pl.Series:
    return column.str.contains(rf"\.\d{{{scale}}}\d*[1-9]").fill_null(False)


def _from_typed(column: pl.Series, dtype: pl.DataType, table: ReferenceSpec) -> pl.Series:
    source = column.dtype
    if source == dtype:
        return column
    if isinstance(source, pl.Datetime) and source.time_zone:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if isinstance(dtype, pl.Datetime | pl.Date) and source.is_integer() and table.datetime_format in EPOCHS:
        return _exactly(_epochs(column.cast(pl.Int64, strict=False), table), dtype)
    is_exact = any(matches(source) and fits(dtype) for matches, fits in _EXACT)
    return _exactly(column, dtype) if is_exact else pl.Series(column.name, [None] * len(column), dtype=dtype)


def _number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric()


def _boolean(dtype: pl.DataType) -> bool:
    return dtype == pl.Boolean


def _day_or_moment(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Date | pl.Datetime)


def _wide(dtype: pl.DataType) -> bool:
    return dtype in WIDE_INTEGERS


def _text(dtype: pl.DataType) -> bool:
    return dtype == pl.String


_Kind = Callable[[pl.DataType], bool]
_EXACT: Sequence[tuple[_Kind, _Kind]] = (
    (_number, _number),
    (_number, _boolean),
    (_boolean, _number),
    (_day_or_moment, _day_or_moment),
    (_wide, _text),
)
"""Typed sources and the targets that they give, where the value is the same: 3.00 is 3, 1.0 is true, midnight is its day. Of
whole numbers only those that a contract's integers may not hold, such as hashes, are also texts: a narrower one may have been a
text with zeros at its beginning."""


def _exactly(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """The values that are the same in the other type. A fraction is the nearest float: that is what a float is."""
    if column.dtype.is_float() and dtype.is_integer():
        return _whole(column, dtype)
    if dtype == pl.Boolean and column.dtype != pl.Boolean:
        known = ((column == 0) | (column == 1)).fill_null(False)
        return (column == 1).set(~known, None)
    if column.dtype == pl.Boolean:
        return column.cast(pl.Int8).cast(dtype)
    fitting = column
    if column.dtype.is_float() and isinstance(dtype, pl.Decimal):  # polars raises for some of those that do not fit
        fitting = column.set(column.abs() >= 10.0 ** ((dtype.precision or 38) - dtype.scale), None)
    done = fitting.cast(dtype, strict=False)
    if dtype.is_float() and not column.dtype.is_integer():
        return done
    return done.set(done.cast(column.dtype, strict=False).ne_missing(column), None)


def _whole(numbers: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Floats as integers where they are whole and exactly represented."""
    exact = (numbers == numbers.round()) & (numbers.abs() < _EXACT_FLOAT)
    return numbers.set(~exact.fill_null(False), None).cast(dtype, strict=False)


def _moments(column: pl.Series, table: ReferenceSpec) -> pl.Series:
    """Texts as naive UTC, by the table's own format or as ISO 8601; a text without a zone is taken as UTC."""
    if table.datetime_format in EPOCHS:
        return _epochs(_whole_texts(column, pl.Int64()), table)
    column = column.set(finer_than_microseconds(column), None)
    if table.datetime_format != "iso":
        return column.str.to_datetime(table.datetime_format, strict=False, time_unit="us", exact=True)
    return _stamps(column)


def finer_than_microseconds(texts: pl.Series) -> pl.Series:
    """Of each text whether it has digits beyond a millionth."""
    return texts.str.contains(_FINER_THAN_MICROSECONDS).fill_null(False)


def _epochs(numbers: pl.Series, table: ReferenceSpec) -> pl.Series:
    """Whole seconds, milliseconds or microseconds since 1970 as moments; null beyond what 64 bits of microseconds hold."""
    factor = EPOCHS[table.datetime_format]
    beyond = (numbers.abs() > (2**63 - 1) // factor).fill_null(False)
    return (numbers.set(beyond, None) * factor).cast(pl.Datetime("us"))


def _stamps(column: pl.Series) -> pl.Series:
    texts = column.str.replace(r"^(\d{4}-\d\d-\d\d) ", "${1}T").str.strip_suffix("Z")
    done = pl.Series(column.name, [None] * len(column), dtype=pl.Datetime("us"))
    for fmt in (*_STAMPS, _ZONED_STAMP):
        if done.null_count() == column.null_count():
            break
        rest = texts.set(done.is_not_null(), None)
        if fmt == _ZONED_STAMP:
            stamps = rest.str.to_datetime(fmt, strict=False, time_unit="us", time_zone="UTC").dt.replace_time_zone(None)
        elif fmt == "%Y-%m-%d":
            stamps = rest.str.to_date(fmt, strict=False).cast(pl.Datetime("us"))
        else:
            stamps = rest.str.to_datetime(fmt, strict=False, time_unit="us")
        done = done.zip_with(done.is_not_null(), stamps)
    return done
