"""Delivered values to contract types: a value that does not fit becomes null, which the contract engine reports."""

from collections.abc import Sequence

import polars as pl

_STAMPS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
_ZONED_STAMP = "%Y-%m-%dT%H:%M:%S%.f%#z"
_BOOLEANS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_EXACT_FLOAT = 2**53


def without_nulls_in_words(column: pl.Series, *, null_values: Sequence[str]) -> pl.Series:
    """The column with null where the delivery spells a missing value (NA, an empty text, NaN in a typed file)."""
    if column.dtype == pl.String:
        return column.set(column.is_in(list(null_values)), None) if null_values else column
    return column.fill_nan(None) if column.dtype.is_float() else column


def cast(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """The column as `dtype`; null where a value is none (10.5 is no integer, NaN no number, 30 February no date)."""
    if column.dtype == pl.Null:
        return column.cast(dtype)
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    done = _from_text(column, dtype) if column.dtype == pl.String else _from_typed(column, dtype)
    return done.set(done.is_infinite() | done.is_nan(), None) if dtype.is_float() else done


def _from_text(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    if dtype == pl.Boolean:
        return column.str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
    if isinstance(dtype, pl.Datetime):
        return _stamps(column).cast(dtype, strict=False)
    if dtype == pl.Date:
        return column.str.to_date("%Y-%m-%d", strict=False)
    done = column.cast(dtype, strict=False)
    if dtype.is_integer() and done.null_count() > column.null_count():
        whole = _whole(column.cast(pl.Float64, strict=False), dtype)  # "10.0": how pandas writes integers beside missing values
        done = done.zip_with(done.is_not_null(), whole)
    return done


def _from_typed(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    source = column.dtype
    if source == dtype:
        return column
    if isinstance(dtype, pl.Datetime) and isinstance(source, pl.Datetime):
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if source.time_zone else column
        return utc.cast(dtype, strict=False)
    if isinstance(dtype, pl.Datetime) and source == pl.Date:
        return column.cast(dtype, strict=False)
    if dtype.is_integer() and source.is_float():
        return _whole(column, dtype)
    if dtype.is_numeric() and (source.is_integer() or source.is_float() or source.is_decimal()):
        return column.cast(dtype, strict=False)
    return pl.Series(column.name, [None] * len(column), dtype=dtype)


def _whole(numbers: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Floats as integers where they are whole and exactly represented."""
    exact = (numbers == numbers.round()) & (numbers.abs() < _EXACT_FLOAT)
    return numbers.set(~exact.fill_null(False), None).cast(dtype, strict=False)


def _stamps(column: pl.Series) -> pl.Series:
    """ISO 8601 texts as naive UTC; a text without a zone is taken as UTC."""
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
