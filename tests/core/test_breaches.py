"""What a delivery does wrong as a whole is told with column, share, limit and rows."""

import polars as pl
import pytest

from ml_assets.core.contract.engine import ContractBreached, audit
from ml_assets.spec.product import Product
from tests.support.trains import JANUARY, audited, product_in, trips


@pytest.fixture(scope="module")
def trains(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return product_in(tmp_path_factory.mktemp("products"))


def test_a_renamed_column_is_a_breach_that_names_both_names(trains: Product) -> None:
    result = audited(trains, trips({}, {}).rename({"distance": "distanse"}))
    assert [(x.code, x.column) for x in result.breaches] == [
        ("missing_column", "distance"),
        ("unknown_column", "distanse"),
    ]
    assert "trips: column 'distanse' is not in the contract Trips; did you mean 'distance'?" in result.breaches[1].message
    assert "trips" not in result.tables


def test_an_extra_column_is_a_breach_even_where_the_model_is_not_strict(trains: Product) -> None:
    frame = pl.DataFrame({"stop": ["a"], "zone": [1], "height": [1.0], "color": ["red"]})
    assert [x.code for x in audited(trains, frame, table="stops").breaches] == ["unknown_column"]


def test_a_table_with_wrong_columns_does_not_hide_the_others(trains: Product) -> None:
    stops = pl.DataFrame({"stop": ["a"], "zone": [1], "height": [1.0]})
    result = audit({"trips": trips({}).drop("line"), "stops": stops}, product=trains, partition_window=JANUARY)
    assert [x.code for x in result.breaches] == ["missing_column"]
    assert result.tables["stops"].valid.height == 1


def test_a_missing_rate_over_its_limit_names_column_share_limit_and_rows(trains: Product) -> None:
    gone = {"delay": "NA"}
    result = audited(trains, trips({}, gone, {}, gone, {}))
    assert [x.message for x in result.breaches] == [
        "trips: column 'delay' is missing 40 % of values, limit 25 % (e.g. rows 1, 3)"
    ]
    assert (result.breaches[0].value, result.breaches[0].limit, result.breaches[0].examples) == (0.4, 0.25, (1, 3))
    assert audited(trains, trips({}, gone, {}, {})).ok


def test_too_few_valid_rows_are_a_breach(trains: Product) -> None:
    result = audited(trains, trips({}))
    assert [(x.code, x.value, x.limit) for x in result.breaches] == [("too_few_rows", 1, 2)]
    assert [x.code for x in audited(trains, trips({}, {"distance": "far"})).breaches] == ["too_few_rows"]


def test_an_empty_table_is_a_breach_without_any_declared_limit(trains: Product) -> None:
    stops = pl.DataFrame(schema={"stop": pl.String, "zone": pl.Int64, "height": pl.Float64})
    assert [x.code for x in audited(trains, stops, table="stops").breaches] == ["too_few_rows"]


def test_too_large_a_share_refused_is_a_breach_that_counts_the_reasons(trains: Product) -> None:
    frame = pl.DataFrame({"stop": ["a", "b", "c", "d"], "zone": [1, 1, 0, 0], "height": [1.0, None, 1.0, 1.0]})
    [breach] = audited(trains, frame, table="stops").breaches
    assert breach.message == "stops: 75 % of rows are refused, limit 1 %: zone.range 2 (0), height.missing 1 (e.g. rows 1, 2, 3)"


def test_a_delivery_for_another_partition_is_told_as_such(trains: Product) -> None:
    february = {"departs_at": "2013-02-05T10:00:00Z"}
    [breach] = audited(trains, trips(february, february, {})).breaches
    assert (breach.code, breach.column, breach.examples) == ("wrong_partition", "departs_at", (0, 1))
    assert "66.67 % of rows lie outside the partition [2013-01-01T00:00:00, 2013-02-01T00:00:00)" in breach.message


def test_a_partition_needs_all_its_tables(trains: Product) -> None:
    result = audit({}, product=trains, partition_window=JANUARY)
    assert [x.message for x in result.breaches] == ["trips: the table is not in the delivery"]


def test_a_breached_delivery_is_refused_with_every_breach_and_the_next_command(trains: Product) -> None:
    result = audited(trains, trips({"delay": "NA"}))
    with pytest.raises(ContractBreached) as caught:
        result.raise_if_breached(product="trains", partition="2013-01")
    assert [x.code for x in caught.value.breaches] == ["missing_rate", "too_few_rows"]
    assert str(caught.value).endswith("ml-assets check trains --partition 2013-01")
    audited(trains, trips({}, {})).raise_if_breached(product="trains", partition="2013-01")
