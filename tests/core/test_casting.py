"""A delivered value becomes the contract's type exactly, or null: nothing is rounded, cut off or guessed."""
# ruff: noqa: E501 - a table, one line a source and target

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ml_assets.core.contract.casting import cast
from ml_assets.core.contract.refused_value_hints import hint
from ml_assets.spec.delivery import ReferenceSpec

PLAIN = ReferenceSpec(format="csv")
LARGE = 2**53
NOON, DAY = datetime(2013, 1, 5, 12), date(2013, 1, 5)
MIDNIGHT = datetime(2013, 1, 5)
SOURCES: dict[str, tuple[pl.DataType, list[Any]]] = {
    "text": (pl.String(), ["3", "3.0", "3.5", "true", "0", "1.0", "yes", "2013-01-05", str(LARGE + 1), f"{LARGE + 1}.0"]),
    "int": (pl.Int64(), [0, 1, 2, LARGE + 1]),
    "unsigned": (pl.UInt64(), [1, 2**63]),
    "float": (pl.Float64(), [0.0, 1.0, 2.5, float("nan"), float("inf"), 1e300]),
    "decimal": (pl.Decimal(20, 2), [Decimal("3.00"), Decimal("2.99"), Decimal("-0.99"), Decimal("1.00")]),
    "bool": (pl.Boolean(), [True, False]),
    "moment": (pl.Datetime("us"), [NOON, MIDNIGHT]),
    "fine moment": (pl.Datetime("ns"), [NOON]),
    "day": (pl.Date(), [DAY]),
    "span": (pl.Duration("us"), [timedelta(seconds=1)]),
    "list": (pl.List(pl.Int64), [[1]]),
    "binary": (pl.Binary(), [b"1"]),
}
TARGETS: dict[str, pl.DataType] = {
    "int": pl.Int64(), "small int": pl.Int8(), "float": pl.Float64(), "bool": pl.Boolean(), "text": pl.String(),
    "decimal": pl.Decimal(10, 2), "moment": pl.Datetime("us"), "day": pl.Date(),
}  # fmt: skip
TABLE: dict[str, dict[str, list[Any]]] = {
    "text": {
        "int": [3, 3, None, None, 0, 1, None, None, LARGE + 1, LARGE + 1],
        "small int": [3, 3, None, None, 0, 1, None, None, None, None],
        "float": [3.0, 3.0, 3.5, None, 0.0, 1.0, None, None, None, None],
        "bool": [None, None, None, True, False, True, None, None, None, None],
        "text": SOURCES["text"][1],
        "decimal": [Decimal("3.00"), Decimal("3.00"), Decimal("3.50"), None, Decimal("0.00"), Decimal("1.00"), None, None, None, None],
        "moment": [None] * 7 + [MIDNIGHT, None, None],
        "day": [None] * 7 + [DAY, None, None],
    },
    "int": {"int": [0, 1, 2, LARGE + 1], "small int": [0, 1, 2, None], "float": [0.0, 1.0, 2.0, None], "bool": [False, True, None, None],
            "decimal": [Decimal(0), Decimal(1), Decimal(2), None]},
    "unsigned": {"int": [1, None], "small int": [1, None], "float": [1.0, 2.0**63], "bool": [True, None], "decimal": [Decimal(1), None],
                 "text": ["1", str(2**63)]},
    "float": {"int": [0, 1, None, None, None, None], "small int": [0, 1, None, None, None, None], "float": [0.0, 1.0, 2.5, None, None, 1e300],
              "bool": [False, True, None, None, None, None], "decimal": [Decimal(0), Decimal(1), Decimal("2.5"), None, None, None]},
    "decimal": {"int": [3, None, None, 1], "small int": [3, None, None, 1], "float": [3.0, 2.99, -0.99, 1.0], "bool": [None, None, None, True],
                "decimal": SOURCES["decimal"][1]},
    "bool": {"int": [1, 0], "small int": [1, 0], "float": [1.0, 0.0], "bool": [True, False], "decimal": [Decimal(1), Decimal(0)]},
    "moment": {"moment": [NOON, MIDNIGHT], "day": [None, DAY]},
    "fine moment": {"moment": [NOON], "day": [None]},
    "day": {"moment": [MIDNIGHT], "day": [DAY]},
    "span": {}, "list": {}, "binary": {},
}  # fmt: skip
"""What each source gives for each target; a target that is not there takes nothing of it."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_source_gives_a_target_what_the_table_says(source: str, target: str) -> None:
    dtype, values = SOURCES[source]
    done = cast(pl.Series("x", values, dtype=dtype), TARGETS[target], table=PLAIN)
    assert done.dtype == TARGETS[target]
    assert done.to_list() == TABLE[source].get(target, [None] * len(values))


NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(lambda value: pl.Series("x", [value], dtype=pl.Int64)),
    st.integers(0, 2**64 - 1).map(lambda value: pl.Series("x", [value], dtype=pl.UInt64)),
    st.floats(allow_nan=False).map(lambda value: pl.Series("x", [value], dtype=pl.Float64)),
    st.floats(allow_nan=False, width=32).map(lambda value: pl.Series("x", [value], dtype=pl.Float32)),
    st.decimals(-(10**15), 10**15, places=3).map(lambda value: pl.Series("x", [value], dtype=pl.Decimal(38, 3))),
    st.booleans().map(lambda value: pl.Series("x", [value])),
    st.integers(-(10**25), 10**25).map(lambda value: pl.Series("x", [str(value)])),
    st.decimals(-(10**9), 10**9, places=4).map(lambda value: pl.Series("x", [str(value)])),
)
NUMERIC = st.sampled_from([pl.Int64(), pl.Int32(), pl.UInt8(), pl.Float64(), pl.Decimal(38, 2), pl.Boolean()])


@given(NUMBERS, NUMERIC)
@example(pl.Series("x", [0.14]), pl.Decimal(38, 2))
@example(pl.Series("x", [1e36]), pl.Decimal(38, 2))
@example(pl.Series("x", [2**63 - 512]), pl.Float64())
def test_a_number_in_another_type_is_the_same_number_or_none(series: pl.Series, dtype: pl.DataType) -> None:
    (value,) = cast(series, dtype, table=PLAIN).to_list()
    if value is None:
        return
    delivered = Decimal(str(series[0]).replace("True", "1").replace("False", "0")) if series.dtype == pl.String else series[0]
    if isinstance(value, float) and Decimal(delivered) != Decimal(delivered).to_integral_value():
        assert value == float(delivered)  # a fraction is the nearest float
    elif isinstance(value, Decimal) and isinstance(delivered, float):
        assert pl.Series("x", [float(value)]).cast(series.dtype)[0] == delivered  # it is the float that the decimal is written as
    else:
        assert Decimal(value) == Decimal(delivered)


@pytest.mark.parametrize(
    ("declared", "texts", "dtype", "values"),
    [
        ({"decimal": ","}, ["1,5", "2", "1.5", "1.234,5"], pl.Float64(), [1.5, 2.0, None, None]),
        ({"decimal": ","}, ["1,0", "1,5"], pl.Int64(), [1, None]),
        ({"datetime_format": "%d/%m/%Y"}, ["05/01/2013", "13/13/2013", "2013-01-05"], pl.Datetime("us"), [MIDNIGHT, None, None]),
        ({"datetime_format": "%d.%m.%Y %H:%M"}, ["05.01.2013 12:00"], pl.Datetime("us"), [NOON]),
        ({"datetime_format": "%d/%m/%Y"}, ["05/01/2013"], pl.Date(), [DAY]),
        ({"datetime_format": "epoch_s"}, ["1357387200", "1e99", "x"], pl.Datetime("us"), [NOON, None, None]),
        ({"datetime_format": "epoch_ms"}, ["1357387200000", str(2**63 - 1)], pl.Datetime("us"), [NOON, None]),
        ({}, ["2013-01-05T12:00:00.0000001Z", "2013-01-05T12:00:00.000000000"], pl.Datetime("us"), [None, NOON]),
    ],
)
def test_numbers_and_times_are_read_as_their_table_declares(
    declared: dict[str, str], texts: list[str], dtype: pl.DataType, values: list[Any]
) -> None:
    table = ReferenceSpec.model_validate({"format": "csv", **declared})
    assert cast(pl.Series("x", texts), dtype, table=table).to_list() == values


def test_a_number_of_a_typed_file_may_be_a_time_where_that_is_declared() -> None:
    table = ReferenceSpec(format="parquet", datetime_format="epoch_s")
    assert cast(pl.Series("x", [1357387200]), pl.Datetime("us"), table=table).to_list() == [NOON]
    assert cast(pl.Series("x", [1357387200]), pl.Datetime("us"), table=PLAIN).to_list() == [None]


def test_a_zoned_moment_becomes_naive_utc() -> None:
    assert cast(pl.Series("x", [NOON.replace(tzinfo=UTC)]), pl.Datetime("us"), table=PLAIN).to_list() == [NOON]


@pytest.mark.parametrize(
    ("values", "dtype", "line"),
    [
        (["1,5", "20,25"], pl.Float64(), 'decimal: ","'),
        (["05/01/2013", "13/01/2013"], pl.Datetime("us"), 'datetime_format: "%d/%m/%Y"'),
        (["5.1.2013 12:00"], pl.Datetime("us"), 'datetime_format: "%d.%m.%Y %H:%M"'),
        (["1357387200"], pl.Datetime("us"), "datetime_format: epoch_s"),
        ([1357387200000], pl.Datetime("us"), "datetime_format: epoch_ms"),
        (["TRUE", "False"], pl.Int64(), "declare it as `bool`"),
        (["Yes", "No"], pl.Int64(), "declare it as `str`"),
        (["yes"], pl.Boolean(), "features: {positive:"),
        (["true", "x"], pl.Int64(), ""),
        (["soon"], pl.Datetime("us"), ""),
        (["x"], pl.Float64(), ""),
        ([], pl.Float64(), ""),
    ],
)
def test_values_that_are_another_spelling_are_told_with_the_line_to_add(values: list[Any], dtype: pl.DataType, line: str) -> None:
    guess = hint(values, dtype)
    assert line in guess
    assert bool(guess) is bool(line)
