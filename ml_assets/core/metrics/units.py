"""Units of independence: rows of one unit (a day, say) are good or bad together."""

import polars as pl

from ml_assets.errors import MlAssetsError

CALENDAR = {"hour": "1h", "day": "1d", "week": "1w", "month": "1mo"}


class UnitError(MlAssetsError):
    """The declared unit is neither a calendar unit, nor `row`, nor a column."""


def units(frame: pl.DataFrame, *, unit: str, time: str) -> pl.Series:
    """The unit of each row: the row itself, the calendar unit that `time` falls in, or else a column's value.

    A column that is named like a calendar unit is not looked at: it may well hold the day of the month.
    """
    if unit == "row":
        return pl.int_range(frame.height, eager=True)
    if unit in CALENDAR:
        return frame[time].dt.truncate(CALENDAR[unit])
    if unit in frame.columns:
        return frame[unit]
    allowed = ", ".join(["row", *CALENDAR, *frame.columns])
    raise UnitError(f"unit {unit!r} is not known; allowed: {allowed}")
