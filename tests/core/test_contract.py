"""A delivery is split row for row into valid and refused rows."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.contract.engine import ContractError, TableAudit, polars_schema
from ml_assets.core.contract.schema import schema_to_validate
from ml_assets.spec.product import Product
from tests.support.trains import GOOD, audited, product_in, reasons, trips


@pytest.fixture(scope="module")
def trains(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return product_in(tmp_path_factory.mktemp("products"))


def test_valid_rows_have_the_types_and_the_column_order_of_the_contract(trains: Product) -> None:
    delivered = trips({}, {"delay": "NA"}).select(sorted(GOOD))
    table = audited(trains, delivered).tables["trips"]
    assert dict(table.valid.schema) == polars_schema(trains.contract.TABLES["trips"])
    assert table.valid.rows() == [
        (1, "A", 12.5, 3.0, "N1", True, datetime(2013, 1, 5, 10)),
        (3, "A", 12.5, None, "N1", True, datetime(2013, 1, 5, 10)),
    ]
    assert table.refused.is_empty()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"trip": "x"}, "trip.type"),
        ({"trip": "1.5"}, "trip.type"),
        ({"trip": "NA"}, "trip.missing"),
        ({"trip": "2"}, "trip.odd"),
        ({"line": "C"}, "line.isin"),
        ({"line": ""}, "line.missing"),
        ({"distance": "-1", "is_express": "f"}, "distance.range"),
        ({"distance": "501"}, "distance.range"),
        ({"distance": "NaN"}, "distance.type"),
        ({"distance": "inf"}, "distance.type"),
        ({"delay": "late"}, "delay.type"),
        ({"code": "M1"}, "code.regex"),
        ({"is_express": "maybe"}, "is_express.type"),
        ({"distance": "1"}, "express_is_far"),
        ({"departs_at": "2013-02-30T00:00:00Z"}, "departs_at.type"),
        ({"departs_at": "NA"}, "departs_at.missing"),
        ({"departs_at": "2013-02-01T00:00:00Z"}, "departs_at.partition"),
        ({"departs_at": "2012-12-31T23:59:59Z"}, "departs_at.partition"),
        ({"line": "C", "distance": "-1", "is_express": "0"}, "distance.range,line.isin"),
    ],
)
def test_a_row_that_breaks_the_contract_is_refused_with_a_stable_reason(
    trains: Product, change: dict[str, str], reason: str
) -> None:
    assert reasons(trains, {}, change, {}) == [(1, reason)]


@pytest.mark.parametrize(
    "change",
    [
        {"trip": "7.0"},
        {"departs_at": "2013-01-31 23:59:59.999"},
        {"departs_at": "2013-02-01T00:30:00+01:00"},
        {"departs_at": "2013-01-01"},
        {"is_express": "FALSE"},
        {"code": "NA"},
        {"distance": "1e2"},
    ],
)
def test_another_spelling_of_a_good_value_is_valid(trains: Product, change: dict[str, str]) -> None:
    assert reasons(trains, {}, change) == []


def test_refused_rows_are_kept_as_they_were_delivered(trains: Product) -> None:
    refused = audited(trains, trips({}, {"distance": "far", "delay": "NA"}, {})).tables["trips"].refused
    assert refused.to_dicts() == [GOOD | {"trip": "3", "distance": "far", "delay": "NA", "reason": "distance.type", "row": 1}]


def test_the_first_valid_row_of_a_key_is_kept(trains: Product) -> None:
    same = {"trip": "5"}
    assert reasons(trains, same | {"distance": "far"}, same, same, {}, same | {"line": "B"}) == [
        (0, "distance.type"),
        (2, "unique_key"),
    ]


def test_a_typed_delivery_is_held_to_the_same_contract(trains: Product) -> None:
    frame = pl.DataFrame({"stop": ["a", "b", "a", "c", "d"], "zone": [1.0, 2.5, 1.0, 0.0, 2.0], "height": [1, 1, 1, 1, None]})
    table = audited(trains, frame, table="stops").tables["stops"]
    assert table.refused.select("row", "reason").rows() == [
        (1, "zone.type"),
        (2, "stop.unique"),
        (3, "zone.range"),
        (4, "height.missing"),
    ]
    assert table.valid.rows() == [("a", 1, 1.0)]


def test_a_nan_of_a_typed_delivery_is_a_missing_value(trains: Product) -> None:
    frame = pl.DataFrame({"stop": ["a", "b", "c"], "zone": [1, 1, 1], "height": [1.0, float("nan"), float("inf")]})
    table = audited(trains, frame, table="stops").tables["stops"]
    assert table.refused["reason"].to_list() == ["height.missing", "height.type"]


def test_a_number_is_no_text(trains: Product) -> None:
    frame = pl.DataFrame({"stop": [1, 2], "zone": [1, 1], "height": [1.0, 1.0]})
    assert audited(trains, frame, table="stops").tables["stops"].reasons == {"stop.type": 2}


def test_a_zoned_time_of_a_typed_delivery_becomes_naive_utc(trains: Product) -> None:
    zoned = trips({}, {}).with_columns(
        pl.lit(datetime(2013, 1, 5, 10)).dt.replace_time_zone("America/New_York").alias("departs_at")
    )
    assert audited(trains, zoned).tables["trips"].valid["departs_at"].to_list() == [datetime(2013, 1, 5, 15)] * 2


def test_the_checks_run_even_where_pandera_is_switched_off(trains: Product) -> None:
    from pandera.config import ValidationDepth, config_context

    with config_context(validation_enabled=False, validation_depth=ValidationDepth.SCHEMA_ONLY):
        assert reasons(trains, {}, {"line": "C"}) == [(1, "line.isin")]


values = st.fixed_dictionaries(
    {
        "trip": st.sampled_from(["1", "3", "5", "4", "x", "NA", ""]),
        "line": st.sampled_from(["A", "B", "C", ""]),
        "distance": st.sampled_from(["1", "12", "-1", "nan", "NA", "1e999"]),
        "delay": st.sampled_from(["NA", "1", "?"]),
        "code": st.sampled_from(["N1", "M", "NA"]),
        "is_express": st.sampled_from(["true", "0", "NA", "yes"]),
        "departs_at": st.sampled_from(["2013-01-05T10:00:00Z", "2013-02-01 00:00:00", "NA", "now"]),
    }
)


@pytest.mark.long
@given(st.lists(values, max_size=12))
def test_every_delivered_row_is_either_valid_or_refused_with_a_reason(trains: Product, rows: list[dict[str, str]]) -> None:
    raw = pl.DataFrame(rows, schema=dict.fromkeys(GOOD, pl.String))
    table: TableAudit = audited(trains, raw).tables["trips"]
    refused = set(table.refused["row"].to_list())
    valid = [i for i in range(raw.height) if i not in refused]
    assert len(valid) == table.valid.height
    assert table.refused.drop("reason", "row").equals(raw[sorted(refused)])
    assert table.refused["reason"].str.len_chars().min() != 0
    assert [str(trip) for trip in table.valid["trip"]] == raw["trip"].gather(valid).to_list()
    assert not table.valid.select("trip", "line").is_duplicated().any()
    schema_to_validate(trains.contract.TABLES["trips"]).validate(table.valid)


def test_a_check_that_judges_a_whole_column_is_a_breach(tmp_path: Path) -> None:
    product = product_in(tmp_path, old="pl.col(data.key) % 2 == 1", new="pl.col(data.key).mean() < 2")
    assert [(x.code, x.column, x.limit) for x in audited(product, trips({}, {}, {})).breaches] == [("check", "trip", "odd")]


def test_a_check_that_cannot_be_run_is_an_error_and_no_verdict(tmp_path: Path) -> None:
    product = product_in(tmp_path, old="pl.col(data.key) % 2 == 1", new="pl.col('nowhere') < 2")
    with pytest.raises(ContractError, match=r"the check '.*odd.*' of Trips cannot be run"):
        audited(product, trips({}, {}))


def test_a_row_without_its_time_is_of_no_partition_even_where_the_time_may_be_missing(tmp_path: Path) -> None:
    product = product_in(tmp_path, old="departs_at: datetime\n", new="departs_at: datetime = pa.Field(nullable=True)\n")
    assert reasons(product, {}, {"departs_at": "NA"}, {}) == [(1, "departs_at.missing")]


def test_what_is_known_after_the_event_may_be_missing_as_a_whole_but_not_in_a_part_of_the_rows(tmp_path: Path) -> None:
    product = product_in(
        tmp_path, old='nullable=True, metadata={"known": "after", "max_missing": 0.25}', new='metadata={"known": "after"}'
    )
    assert reasons(product, {"delay": "NA"}, {"delay": "NA"}) == []
    assert reasons(product, {}, {"delay": "NA"}, {}) == [(1, "delay.missing")]
