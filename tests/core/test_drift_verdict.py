"""The calibrated verdict: what is stable, a watch, an alarm or uncalibrated, and in which words."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.core.drift.bin_layout import binned
from ml_assets.core.drift.distance import freeman_tukey, natural_variation
from ml_assets.core.drift.histogram_json import from_json, to_json
from ml_assets.core.drift.histograms import NumberBins, count
from ml_assets.core.drift.verdict import DriftReference, DriftVerdict, Observed, follow

ROWS = 3000
Change = Callable[[pl.DataFrame], pl.DataFrame]


def frame(seed: int, rows: int = ROWS, shift: float = 0.0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "distance": random.gamma(2, 500, rows) + shift,
            "hour": random.integers(5, 24, rows),
            "carrier": random.choice(["UA", "AA", "B6"], rows, p=[0.6, 0.3, 0.1]),
            "late": (random.random(rows) < 0.2).astype(int),
        }
    )


def observed(frames: Sequence[pl.DataFrame]) -> list[Observed]:
    return [Observed(f"p{place:02}", place, frame.height, count(frame), f"digest-{place}") for place, frame in enumerate(frames)]


def verdicts(changed: Sequence[Change], *, before: int = 10, **rule: Any) -> list[DriftVerdict]:
    """The verdicts on partitions after so many usual ones."""
    frames = [frame(seed) for seed in range(before)]
    frames += [change(frame(100 + number)) for number, change in enumerate(changed)]
    return follow(observed(frames), DriftReference(**rule))[before:]


def same(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def in_km(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("distance") * 1.609)


def half_missing(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.when(pl.int_range(pl.len()) % 2 == 0).then("distance").alias("distance"))


CHANGES: dict[str, tuple[Change, str, str]] = {
    "another unit": (in_km, "distance", "median"),
    "half missing": (half_missing, "distance", "missing 0.0% -> 50.0%"),
    "a frozen column": (lambda rows: rows.with_columns(hour=pl.lit(12)), "hour", "of the rows moved, median 12"),
    "a level gone": (lambda rows: rows.with_columns(carrier=pl.lit("UA")), "carrier", "UA"),
    "a new level": (
        lambda rows: rows.with_columns(carrier=pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("XX")).otherwise("carrier")),
        "carrier",
        "XX",
    ),
    "no label": (lambda rows: rows.with_columns(late=pl.lit(0)), "late", "its most frequent value"),
    "a third of the rows": (lambda rows: rows.head(ROWS // 3), "(rows)", "1,000 rows, usually 3,000"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_lasting_change_is_an_alarm_in_the_second_partition_and_says_what_moved(name: str) -> None:
    change, column, words = CHANGES[name]
    first, second = verdicts([change, change])
    assert first.state != "alarm", "one partition alone has no stated rate"
    assert column in first.exceeds
    assert second.state == "alarm"
    assert column in second.lasting
    words_now = " ".join(part.words for part in second.moved if part.column == column)
    assert words in words_now or name == "a new level"


def test_one_odd_partition_is_a_watch_and_no_alarm_comes_of_it() -> None:
    odd, *later = verdicts([in_km, same, same, same])
    assert odd.state == "watch"
    assert not odd.is_calm
    assert [verdict.state for verdict in later] == ["stable"] * 3


def test_two_odd_partitions_in_three_are_an_alarm_only_where_the_same_column_moved() -> None:
    assert verdicts([in_km, same, in_km])[-1].state == "alarm"
    assert verdicts([in_km, lambda rows: rows.with_columns(carrier=pl.lit("UA"))])[-1].state == "watch"
    assert verdicts([in_km, same, same, in_km])[-1].state != "alarm", "they are too far apart"


def test_alarmed_partitions_stay_out_of_the_reference_until_they_are_accepted() -> None:
    frames = [frame(seed) for seed in range(10)] + [in_km(frame(100 + n)) for n in range(12)]
    partitions = observed(frames)
    assert {verdict.state for verdict in follow(partitions, DriftReference())[11:]} == {"alarm"}
    accepted = follow(partitions, DriftReference(), {p.key for p in partitions[10:18]})
    assert accepted[-1].state == "stable"
    assert "p17" in accepted[-1].references
    assert set(follow(partitions, DriftReference())[-1].references) == {f"p0{n}" for n in range(5, 10)}


def test_with_too_few_partitions_or_one_much_larger_there_is_no_verdict() -> None:
    few = verdicts([in_km, in_km], before=4)
    assert {verdict.state for verdict in few} == {"uncalibrated"}
    assert "5 past partitions to learn from, 6 are needed" in few[1].why
    large = follow(observed([*(frame(seed) for seed in range(8)), frame(50, rows=5 * ROWS, shift=900)]), DriftReference())[-1]
    assert large.state == "uncalibrated"
    assert "more than 4 times as many" in large.sentence
    empty = follow(observed([*(frame(seed) for seed in range(8)), frame(1).clear()]), DriftReference())[-1]
    assert (empty.state, empty.why) == ("uncalibrated", "it has no rows")


def test_what_moves_by_nature_is_no_alarm_and_what_is_ignored_is_not_looked_at() -> None:
    random = np.random.default_rng(5)
    shifts = random.normal(0, 150, 30)
    wandering = follow(observed([frame(seed, shift=shift) for seed, shift in enumerate(shifts)]), DriftReference())
    assert "alarm" not in {verdict.state for verdict in wandering}
    assert verdicts([in_km, in_km], ignored=frozenset({"distance"}))[-1].state == "stable"


def test_seasons_are_compared_with_their_own_and_references_are_earlier_partitions_by_digest() -> None:
    frames = [frame(seed, shift=800.0 * (seed % 2)) for seed in range(20)]
    alike = follow(observed(frames), DriftReference("same_season", period=2))
    assert {verdict.state for verdict in alike[12:]} == {"stable"}
    assert set(alike[-1].references) == {"p17", "p15", "p13", "p11"}
    assert alike[-1].references["p17"] == "digest-17"
    wrong_season = [*frames, frame(50), frame(51, shift=800.0), frame(52), frame(53)]
    assert follow(observed(wrong_season), DriftReference("same_season", period=2))[-1].state != "stable"


def test_a_training_reference_compares_with_what_the_release_was_trained_on() -> None:
    rule = DriftReference("training", training=frozenset({"p00", "p01", "p02"}))
    partitions = observed([frame(seed) for seed in range(10)])
    assert set(follow(partitions, rule)[-1].references) == {"p00", "p01", "p02"}
    moved = observed([*(frame(seed) for seed in range(10)), in_km(frame(11)), in_km(frame(12))])
    assert follow(moved, rule)[-1].state == "alarm"


def test_a_column_that_becomes_text_or_is_gone_is_seen() -> None:
    for change in (lambda f: f.with_columns(pl.col("hour").cast(pl.String)), lambda f: f.drop("hour")):
        frames = [frame(seed) for seed in range(10)] + [change(frame(20)), change(frame(21))]
        assert "hour" in follow(observed(frames), DriftReference())[-1].exceeds


def test_histograms_come_back_from_their_bytes_and_do_not_depend_on_the_order_of_rows() -> None:
    rows = half_missing(frame(3))
    stored = to_json(count(rows))
    assert to_json(from_json(stored)) == stored
    assert to_json(count(rows.sample(fraction=1, shuffle=True, seed=1).sort("distance"))) != b""
    assert {name: histogram.rows for name, histogram in count(rows).items()} == dict.fromkeys(rows.columns, ROWS)


@settings(max_examples=60)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=60))
def test_every_number_is_counted_once_whatever_it_is(values: list[float]) -> None:
    histogram = count(pl.DataFrame({"x": values}))["x"]
    assert isinstance(histogram, NumberBins)
    assert histogram.rows == len(values)
    assert histogram.missing == sum(value != value for value in values)


EXTREME = [
    [1.7976931348623157e308, -9.97e291],
    [5e-324, 0.0],
    [1e18, 1e18 + 200],
    [float("inf"), float("-inf"), float("nan")],
    [1e-310, 2e-310, 1e308],
    [9007199254740993.0, 9007199254740995.0],
]


@pytest.mark.parametrize("values", EXTREME)
def test_numbers_at_the_ends_of_their_range_are_counted_and_compared(values: list[float]) -> None:
    histograms = [count(pl.DataFrame({"x": values}))["x"] for values in (values, [1.0, 2.0])]
    assert binned(histograms, 2).rows.sum(axis=1).tolist() == [len(values), 2]


def test_partitions_with_bins_of_different_width_share_the_wider_ones() -> None:
    fine, coarse = pl.DataFrame({"x": np.linspace(0, 1, 500)}), pl.DataFrame({"x": np.linspace(0, 100, 500)})
    together = binned([count(fine)["x"], count(coarse)["x"]], 2)
    assert together.rows.sum(axis=1).tolist() == [500, 500]


def test_g_is_the_mean_of_a_poisson_count_and_natural_variation_solves_its_equation() -> None:
    random = np.random.default_rng(0)
    for mean in (0.05, 0.7, 3.0, 40.0):
        drawn = np.mean(4 * (np.sqrt(random.poisson(mean, 400_000)) - np.sqrt(mean)) ** 2)
        assert freeman_tukey(np.array([mean]))[0] == pytest.approx(drawn, rel=0.02)
    distance, expected = random.exponential(1.0, (9, 4)), np.full((9, 4), 0.1)
    known = np.ones((9, 4), dtype=bool)
    variation = natural_variation(distance, expected, known)
    assert (distance / (expected + variation)).sum(axis=0) == pytest.approx(9)
    assert natural_variation(expected * 0.5, expected, known).tolist() == [0.0] * 4
