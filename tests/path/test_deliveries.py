"""A delivery that breaks its contract: a clear refusal, nothing published, nothing lost."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.homes.flights_months import MONTHS, Months, copies, month, months, with_column, year
from tests.support.homes.path_homes import Home

__all__ = ["copies", "months"]

THIRD = MONTHS[2]


def renamed(tables: dict[str, bytes]) -> dict[str, bytes]:
    return {"flights": tables["flights"].replace(b"arr_delay", b"arrival_delay", 1)}


def truncated(tables: dict[str, bytes]) -> dict[str, bytes]:
    return {"flights": tables["flights"][: len(tables["flights"]) // 2]}


def header_only(tables: dict[str, bytes]) -> dict[str, bytes]:
    return {"weather": tables["weather"].split(b"\n", 1)[0] + b"\n"}


@dataclass(frozen=True)
class Bad:
    """What is wrong with a delivery, where it is found, and what the message names."""

    make: Callable[[dict[str, bytes]], dict[str, bytes]]
    found_by: str
    says: tuple[str, ...]


DELIVERIES = {
    "unreadable": Bad(lambda t: {"flights": b"\x00\x01\x02" * 99}, "raw", ("flights", THIRD, "not a CSV file", "deliver")),
    "truncated": Bad(truncated, "raw", ("flights", THIRD, "the file was cut short")),
    "empty": Bad(lambda t: {"flights": b""}, "raw", ("flights", THIRD, "no content")),
    "header only": Bad(header_only, "raw", ("weather", "no rows")),
    "renamed column": Bad(renamed, "schema_matches", ("flights", "'arr_delay' is missing", "arrival_delay")),
    "wrong month": Bad(
        lambda t: year().month("2013-05"), "rows_in_partition", ("100 % of rows lie outside", "2013-03-01", "time_hour")
    ),
    "too few rows": Bad(
        lambda t: {"flights": b"\n".join(t["flights"].split(b"\n")[:100]) + b"\n"},
        "volume_expected",
        ("99 valid rows", "at least 1,000"),
    ),
    "too many missing": Bad(
        lambda t: {"flights": with_column(t["flights"], "tailnum", b"NA", every=5)},
        "missing_rates_in_limits",
        ("'tailnum' is missing 20", "limit 5 %", "e.g. rows 0, 5, 10"),
    ),
    "too many refused": Bad(
        lambda t: {"flights": with_column(t["flights"], "distance", b"9999", every=50)},
        "quarantine_in_limits",
        ("2.0", "% of rows are refused, limit 0.1 %: distance.range", "e.g. rows 0, 50, 100"),
    ),
}


@pytest.fixture(scope="module")
def delivered(months: Months, copies: Callable[[], Home]) -> Home:
    """One home for all: each test delivers the third month again."""
    return copies()


@pytest.mark.long
@pytest.mark.parametrize("name", DELIVERIES)
def test_a_bad_delivery_is_refused_and_the_last_good_month_stays(delivered: Home, name: str) -> None:
    bad = DELIVERIES[name]
    good = {stage: delivered.get(stage, THIRD) for stage in ("dataset", "quarantine", "features", "release")}
    content = bad.make(month(THIRD))
    delivered.deliver(THIRD, month(THIRD) | content)
    run = delivered.run(THIRD)
    assert not run.success
    assert run.outcome
    assert run.outcome.kind == "data refused"
    assert bad.says[-1] in run.outcome.reason
    assert run.materialized.keys() <= {"raw", "reference"}
    message = run.errors["raw"] if bad.found_by == "raw" else run.descriptions[bad.found_by]
    assert run.failed_checks == (set() if bad.found_by == "raw" else {bad.found_by})
    assert all(part in message for part in bad.says), message
    if bad.found_by != "raw":
        again = delivered.run(THIRD, only=["dataset", "quarantine"])
        assert not again.materialized
        assert "ContractBreached: flights 2013-03: the delivery breaks its contract" in again.errors["dataset"]
        assert message.split("; ")[0] in again.errors["dataset"]
    assert {stage: delivered.get(stage, THIRD) for stage in good} == good
    assert delivered.serving() == good["release"].facts["release"]
    for table, written in content.items():
        assert delivered.space.landing.file(delivered.product, table, THIRD).read_bytes() == written


@pytest.mark.long
def test_a_month_that_was_delivered_badly_and_then_well_computes_nothing(delivered: Home) -> None:
    delivered.deliver(THIRD, renamed(month(THIRD)))
    assert not delivered.run(THIRD).success
    delivered.deliver(THIRD, month(THIRD))
    run = delivered.run(THIRD)
    assert run.success
    assert not run.computed


def test_a_month_that_is_not_delivered_names_the_files(delivered: Home) -> None:
    run = delivered.run("2013-09")
    assert not run.success
    assert "not delivered" in run.errors["raw"]
    assert "flights/2013-09.csv" in run.errors["raw"]
