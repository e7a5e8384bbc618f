"""Rows of one unit belong together: by calendar, by column, or each on its own."""

from datetime import datetime

import polars as pl
import pytest

from ml_assets.core.metrics.units import UnitError, units

FRAME = pl.DataFrame(
    {
        "departs_at": [datetime(2013, 1, 7, 5, 59), datetime(2013, 1, 7, 6), datetime(2013, 1, 6, 23), None],
        "line": ["A", "B", "A", None],
        "day": [7, 7, 6, 6],
    },
    schema_overrides={"departs_at": pl.Datetime("us")},
)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("hour", [datetime(2013, 1, 7, 5), datetime(2013, 1, 7, 6), datetime(2013, 1, 6, 23), None]),
        ("day", [datetime(2013, 1, 7), datetime(2013, 1, 7), datetime(2013, 1, 6), None]),
        ("week", [datetime(2013, 1, 7), datetime(2013, 1, 7), datetime(2012, 12, 31), None]),
        ("month", [datetime(2013, 1, 1)] * 3 + [None]),
        ("row", [0, 1, 2, 3]),
        ("line", ["A", "B", "A", None]),
    ],
)
def test_each_row_has_a_unit(unit: str, expected: list[object]) -> None:
    assert units(FRAME, unit=unit, time="departs_at").to_list() == expected


def test_the_day_is_that_of_the_time_even_when_a_column_holds_the_day_of_the_month() -> None:
    apart = pl.DataFrame({"at": [datetime(2013, 1, 7), datetime(2013, 2, 7)], "day": [7, 7]})
    assert units(apart, unit="day", time="at").n_unique() == 2


def test_another_unit_is_refused_with_those_allowed() -> None:
    with pytest.raises(UnitError, match="'year' is not known; allowed: row, hour, day, week, month, departs_at, line"):
        units(FRAME, unit="year", time="departs_at")
