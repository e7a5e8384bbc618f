"""Partition keys tile time, and a candidate never trains on what it is judged on."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.core.lineage.partitions import AsOf, PartitionKeyError, Partitions
from ml_assets.spec.partitions import Every, WindowSpec
from resources.dagster_assets import SCHEDULES

STARTS: dict[Every, str] = {
    "hour": "2013-01-01T05",
    "day": "2013-01-01",
    "week": "2013-01-07",
    "month": "2013-01",
    "quarter": "2013-04",
    "year": "2013",
}
ZONES = ("Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Auckland")
"""São Paulo's clocks skipped midnight when its summers began."""
calendars = st.sampled_from(
    [Partitions(every=every, start=start) for every, start in STARTS.items()]
    + [Partitions(every=every, start=start, timezone=z) for every, start in STARTS.items() if every != "hour" for z in ZONES]
)
moments = st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2150, 1, 1))
steps = st.integers(min_value=-600, max_value=600)


@given(calendars, moments, steps)
def test_shifting_there_and_back_is_no_shift(calendar: Partitions, moment: datetime, n: int) -> None:
    key = calendar.key_of(moment)
    assert calendar.shift(calendar.shift(key, n), -n) == key


@given(calendars, moments)
def test_every_moment_lies_in_the_partition_that_its_key_names(calendar: Partitions, moment: datetime) -> None:
    start, end = calendar.window(calendar.key_of(moment))
    assert start <= moment < end


@given(calendars, moments)
def test_partitions_tile_time_without_a_gap(calendar: Partitions, moment: datetime) -> None:
    key = calendar.key_of(moment)
    assert calendar.window(key)[1] == calendar.window(calendar.shift(key, 1))[0]
    assert calendar.key_of(calendar.window(key)[1] - timedelta(microseconds=1)) == key


@given(calendars, moments, st.integers(min_value=0, max_value=50))
def test_keys_are_the_shifts_from_first_to_last(calendar: Partitions, moment: datetime, n: int) -> None:
    first = calendar.key_of(moment)
    assert calendar.keys(first, calendar.shift(first, n)) == tuple(calendar.shift(first, i) for i in range(n + 1))
    assert calendar.keys(calendar.shift(first, 1), first) == ()


@given(calendars, *[st.integers(min_value=1, max_value=15)] * 3, st.integers(min_value=0, max_value=40))
def test_test_partitions_are_the_last_and_unseen(calendar: Partitions, train: int, test: int, minimum: int, n: int) -> None:
    window = WindowSpec(train=max(train, minimum), test=test, minimum=minimum)
    key = calendar.shift(calendar.start, n)
    as_of = calendar.as_of(key, window)
    available = n + 1 - test
    if available < minimum:
        assert as_of is None
        return
    assert as_of is not None
    assert as_of.test == calendar.keys(calendar.shift(key, 1 - test), key)
    assert len(as_of.train) == min(available, window.train)
    assert not set(as_of.train) & set(as_of.test)
    assert calendar.window(as_of.train[-1])[1] == calendar.window(as_of.test[0])[0]
    assert all(map(calendar.contains, as_of.train + as_of.test))


def test_the_window_of_a_month_ends_where_the_next_begins() -> None:
    months = Partitions(every="month", start="2013-01")
    assert months.window("2013-12") == (datetime(2013, 12, 1), datetime(2014, 1, 1))
    assert months.shift("2013-01", -13) == "2011-12"


def test_the_end_of_a_calendar_is_exclusive() -> None:
    months = Partitions(every="month", start="2013-01", end="2014-01")
    assert [months.contains(key) for key in ("2012-12", "2013-01", "2013-12", "2014-01")] == [False, True, True, False]
    with pytest.raises(
        PartitionKeyError, match=r"'2014-01' is not a partition of this product: .* start at 2013-01, before 2014-01"
    ):
        months.as_of("2014-01", WindowSpec(train=1, test=1, minimum=1))


@pytest.mark.parametrize(
    ("every", "bad", "good"),
    [
        ("month", "2013-1", "2013-01"),
        ("month", "2013-13", "2013-01"),
        ("month", "2013-01-01", "2013-01"),
        ("day", "2013-02-30", "2013-01-01"),
        ("hour", "2013-01-01T5", "2013-01-01T05"),
        ("week", "2013-01-08", r"2013-01-07 \(a Monday\)"),
        ("day", "", "2013-01-01"),
    ],
)
def test_a_bad_key_is_answered_with_a_good_one(every: Every, bad: str, good: str) -> None:
    with pytest.raises(PartitionKeyError, match=rf"'{bad}' is not the key of a partition by {every}; a good one is {good}"):
        Partitions(every=every, start=STARTS[every]).window(bad)


def test_a_moment_with_a_time_zone_is_refused() -> None:
    with pytest.raises(PartitionKeyError, match="naive UTC"):
        Partitions(every="day", start="2013-01-01").key_of(datetime.fromisoformat("2013-01-01T00:00:00+01:00"))


def test_a_shift_out_of_the_calendar_of_years_is_refused() -> None:
    with pytest.raises(PartitionKeyError, match="lies outside"):
        Partitions(every="month", start="2013-01").shift("2013-01", 12 * 9000)


def test_a_day_of_a_time_zone_is_as_long_as_its_clocks_say() -> None:
    berlin = Partitions(every="day", start="2024-01-01", timezone="Europe/Berlin")
    ends = [berlin.window(key) for key in ("2024-03-30", "2024-03-31", "2024-10-27")]
    assert [(end - start).total_seconds() / 3600 for start, end in ends] == [24, 23, 25]
    assert berlin.key_of(datetime(2024, 3, 30, 23, 30)) == "2024-03-31"


def test_the_keys_are_those_of_dagster_with_the_same_windows() -> None:
    for every, start in STARTS.items():
        zone = "UTC" if every == "hour" else "America/Sao_Paulo"
        calendar = Partitions(every=every, start=start, timezone=zone)
        known = dg.TimeWindowPartitionsDefinition(
            start=start, end=calendar.shift(start, 40), fmt=calendar.fmt, cron_schedule=SCHEDULES[every], timezone=zone
        )
        keys = known.get_partition_keys()
        assert len(keys) > 10  # Dagster knows no partition of the future
        assert keys == [calendar.shift(start, number) for number in range(len(keys))]
        for key in keys:
            window = known.time_window_for_partition_key(key)
            assert (window.start.timestamp(), window.end.timestamp()) == tuple(
                moment.replace(tzinfo=UTC).timestamp() for moment in calendar.window(key)
            )


@given(calendars, st.datetimes(min_value=datetime(2014, 1, 1), max_value=datetime(2040, 1, 1)), st.integers(-2, 2))
@settings(deadline=None)
def test_a_partition_is_taken_once_it_is_over_as_dagster_has_it(calendar: Partitions, now: datetime, n: int) -> None:
    known = dg.TimeWindowPartitionsDefinition(
        start=calendar.start, fmt=calendar.fmt, cron_schedule=SCHEDULES[calendar.every], timezone=calendar.timezone
    )
    key = calendar.shift(calendar.key_of(now), n)
    with partition_loading_context(effective_dt=now.replace(tzinfo=UTC)):
        assert known.has_partition_key(key) == (calendar.contains(key) and not calendar.unfinished(key, now))


def test_a_partition_that_lasts_on_is_refused_with_its_end() -> None:
    november = Partitions(every="month", start="2013-01", timezone="Europe/Berlin")
    with pytest.raises(PartitionKeyError, match=r"'2013-11' is not finished yet: it ends at 2013-11-30 23:00 UTC"):
        november.require_finished("2013-11", datetime(2013, 11, 30, 22, 59))
    assert november.require_finished("2013-11", datetime(2013, 11, 30, 23)) == "2013-11"


@pytest.mark.parametrize("key", ["2013-02", "2013-1", "2013", "2013-13"])
def test_a_quarter_is_named_by_its_first_month(key: str) -> None:
    with pytest.raises(PartitionKeyError, match="a good one is 2013-04, its first month"):
        Partitions(every="quarter", start="2013-01").contains(key)


def test_a_delivery_is_a_number_of_four_digits() -> None:
    deliveries = Partitions(every="delivery", start="0001", folds=2)
    assert deliveries.keys("0009", "0011") == ("0009", "0010", "0011")
    as_of = deliveries.as_of("0003", WindowSpec(train=1, test=1, minimum=1))
    assert as_of == AsOf(train=("0003",), test=("0003",)), "its rows are divided by their keys"
    for key in ("1", "0000", "00001", "000a", "²222"):
        with pytest.raises(PartitionKeyError, match="0001 for the first, 0002 for the next"):
            deliveries.contains(key)
