"""The drafted range of a column of numbers: whatever its size and scale, what was observed lies within it."""

import ast

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from ml_assets.core.draft.column_limits import INTEGERS, limits_of
from ml_assets.core.draft.columns import SourceColumn

FAR_OUT = 2**60
NEAR_ZERO = 5e-324
integers = st.lists(st.integers(*INTEGERS), min_size=1, max_size=20)
close_together = st.builds(
    lambda start, steps: [min(start + step, INTEGERS[1]) for step in steps],
    st.integers(*INTEGERS),
    st.lists(st.integers(0, 1000), min_size=1, max_size=20),
)
floats = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20)


def limits(values: list[int] | list[float]) -> tuple[int | float, int | float]:
    series = pl.Series("x", values, dtype=pl.Int64 if isinstance(values[0], int) else pl.Float64)
    column = SourceColumn("x", "x", "integer" if series.dtype.is_integer() else "number", series, 0, 0)
    codes = pl.Series([place % 4 for place in range(len(values))])
    found = limits_of(column, time=None, codes=codes, is_key=False, is_after=False).arguments
    return ast.literal_eval(found["ge"]), ast.literal_eval(found["le"])


@given(integers | close_together | floats)
@example([FAR_OUT, FAR_OUT + 7919])
@example([INTEGERS[0], INTEGERS[1]])
@example([0.12345678901234567])
@example([float(FAR_OUT), FAR_OUT * (1 + 2**-52)])
@example([NEAR_ZERO, 2 * NEAR_ZERO])
def test_every_observed_number_is_within_the_drafted_range(values: list[int] | list[float]) -> None:
    least, most = limits(values)
    assert all(least <= value <= most for value in values)


@given(close_together.filter(lambda values: max(values) - min(values) > 10))
def test_a_drafted_range_is_as_narrow_as_what_was_observed_however_large_it_is(values: list[int]) -> None:
    least, most = limits(values)
    assert most - least <= 4 * (max(values) - min(values))
