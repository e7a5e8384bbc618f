"""Any table that polars can write: under a contract of its own types no row is lost, and under any contract every row is in the
dataset or in the quarantine, or the refusal is named."""

import io
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing.parametric import column, dataframes

from ml_assets.core.contract.engine import TableAudit, _audit_table, read_delivery
from ml_assets.core.contract.schema import rules_of
from ml_assets.errors import MlAssetsError
from ml_assets.spec.delivery import ReferenceSpec

pytestmark = pytest.mark.long
WRITTEN: dict[Any, Any] = {
    pl.Int8: pl.Int8, pl.Int16: pl.Int16, pl.Int32: pl.Int32, pl.Int64: pl.Int64,
    pl.UInt8: pl.UInt8, pl.UInt16: pl.UInt16, pl.UInt32: pl.UInt32, pl.UInt64: pl.UInt64,
    pl.Float32: pl.Float32, pl.Float64: pl.Float64, pl.Boolean: pl.Boolean, pl.String: pl.String,
    pl.Categorical: pl.String, pl.Date: pl.Date, pl.Decimal(20, 3): pl.Decimal(20, 3),
    pl.Datetime("us"): pl.Datetime("us"), pl.Datetime("ms"): pl.Datetime("us"),
    pl.Datetime("us", "America/New_York"): pl.Datetime("us"),
}  # fmt: skip
"""The type that the contract of a written column has."""
PARQUET = ReferenceSpec(format="parquet")
NAMES = "abcde"
EXAMPLES = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@st.composite
def frames(draw: st.DrawFn) -> tuple[pl.DataFrame, list[Any]]:
    """A frame, and the type of each of its columns as the contract has it."""
    kinds = draw(st.lists(st.sampled_from(list(WRITTEN)), min_size=1, max_size=len(NAMES)))
    columns = [column(name, dtype=kind, allow_null=True) for name, kind in zip(NAMES, kinds, strict=False)]
    frame = draw(dataframes(columns, min_size=1, max_size=12, allow_infinity=False))
    return frame, [WRITTEN[kind] for kind in kinds]


def judged(frame: pl.DataFrame, types: dict[str, Any], nullable: set[str]) -> TableAudit:
    """The rows of the frame, written as Parquet and read back, held to a contract of these types."""
    content = io.BytesIO()
    frame.write_parquet(content)
    raw = read_delivery(content.getvalue(), table=PARQUET, name="t.parquet")
    schema = pa.DataFrameSchema({name: pa.Column(dtype, nullable=name in nullable) for name, dtype in types.items()}, strict=True)
    model = type("Table", (pa.DataFrameModel,), {"to_schema": classmethod(lambda _: schema)})
    table, _ = _audit_table(raw, name="t", spec=PARQUET, rules=rules_of(model), window=None)
    assert table.valid.height + table.refused.height == raw.height == frame.height
    return table


def is_missing(values: pl.Series) -> pl.Series:
    """Null, not a number, or the text that means so where nothing else is declared."""
    if values.dtype.is_float():
        return values.is_null() | values.is_nan().fill_null(value=False)
    is_text = values.dtype in (pl.String, pl.Categorical)
    return values.is_null() | (values.cast(pl.String) == "").fill_null(value=False) if is_text else values.is_null()


@EXAMPLES
@given(frames())
def test_a_frame_loses_no_row_under_a_contract_of_its_own_types(drawn: tuple[pl.DataFrame, list[Any]]) -> None:
    frame, kinds = drawn
    nullable = {name for name in frame.columns if is_missing(frame[name]).any()}
    table = judged(frame, dict(zip(frame.columns, kinds, strict=True)), nullable)
    assert table.refused.is_empty(), table.reasons
    for name in frame.columns:
        assert table.valid[name].is_null().to_list() == is_missing(frame[name]).to_list()


@EXAMPLES
@given(frames(), st.data())
def test_every_row_is_kept_or_quarantined_with_a_reason_or_the_refusal_is_named(
    drawn: tuple[pl.DataFrame, list[Any]], data: st.DataObject
) -> None:
    frame, _ = drawn
    types = {name: data.draw(st.sampled_from(list(WRITTEN.values()))) for name in frame.columns}
    nullable = {name for name in frame.columns if data.draw(st.booleans())}
    try:
        table = judged(frame, types, nullable)
    except MlAssetsError:  # a refusal by name; anything else fails the test
        return
    assert not table.refused["reason"].is_in(["", None]).any()
    for name, reason in (pair for reasons in table.reasons for pair in [reasons.split(".", 1)]):
        assert name in types
        assert reason in ("type", "missing")
