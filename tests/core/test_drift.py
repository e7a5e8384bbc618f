"""The reference profile, and how far new rows have moved from it."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from ml_assets.core.metrics.drift import DriftError, drift, js, profile, psi

ROWS = 4000


def frame(seed: int = 0, rows: int = ROWS) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "distance": random.gamma(2, 500, rows),
            "hour": random.integers(5, 24, rows),
            "wind": pl.Series(np.where(random.random(rows) < 0.1, np.nan, random.normal(0, 1, rows))).fill_nan(None),
            "carrier": random.choice(["UA", "AA", "B6"], rows, p=[0.6, 0.3, 0.1]),
            "is_weekend": random.random(rows) < 0.3,
        }
    )


def scores(seed: int = 0, rows: int = ROWS) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).random(rows)


def psi_of(reference: pl.DataFrame, current: pl.DataFrame) -> dict[str, float]:
    report = drift(profile(reference, scores(rows=reference.height)), current, scores(rows=current.height))
    return dict(report.columns.select("column", "psi").iter_rows())


def test_the_same_rows_have_not_drifted_at_all() -> None:
    report = drift(profile(frame(), scores()), frame(), scores())
    assert report.columns["psi"].to_list() == [0.0] * 5
    assert report.columns["js"].to_list() == [0.0] * 5
    assert (report.score_psi, report.score_js) == (0, 0)


def test_rows_of_the_same_source_hardly_drift() -> None:
    assert max(psi_of(frame(0), frame(1)).values()) < 0.02


def test_a_column_that_moved_comes_first_and_the_others_stay() -> None:
    moved = frame(1).with_columns(pl.col("distance") * 2)
    report = drift(profile(frame(), scores()), moved, scores(1))
    assert report.columns["column"][0] == "distance"
    assert report.above(0.25) == ["distance"]


def test_a_score_that_moved_is_seen() -> None:
    assert drift(profile(frame(), scores()), frame(), scores() ** 2).score_psi > 0.25


@pytest.mark.parametrize(
    "change",
    [
        pl.lit(None, pl.String).alias("carrier"),
        pl.lit("a new carrier").alias("carrier"),
        pl.lit(None, pl.Float64).alias("wind"),
        pl.lit(float("nan")).alias("wind"),
        pl.col("hour") * 0 + 99,
        pl.col("hour") * 0,
        ~pl.col("is_weekend"),
    ],
)
def test_values_that_went_missing_or_were_never_seen_are_drift(change: pl.Expr) -> None:
    current = frame().with_columns(change)
    assert psi_of(frame(), current)[change.meta.output_name()] > 0.25


@pytest.mark.parametrize("value", [2.0, 4.0])
def test_a_constant_that_changes_in_either_direction_is_drift(value: float) -> None:
    constant = frame().with_columns(wind=pl.lit(3.0))
    assert psi_of(constant, constant)["wind"] == 0
    assert psi_of(constant, constant.with_columns(wind=pl.lit(value)))["wind"] > 1


def test_a_column_without_any_value_can_be_a_reference() -> None:
    empty = frame().with_columns(wind=pl.lit(None, pl.Float64))
    assert psi_of(empty, empty)["wind"] == 0
    assert psi_of(empty, frame())["wind"] > 1


def test_a_profile_survives_json_and_holds_shares_that_sum_to_one() -> None:
    reference = profile(frame(), scores())
    again = json.loads(json.dumps(reference, allow_nan=False))
    assert again == reference
    for about in [*again["columns"].values(), again["score"]]:
        assert sum(about["shares"]) == pytest.approx(1)
    json.dumps(drift(again, frame(1), scores(1)).to_dict(), allow_nan=False)


def test_a_profile_holds_the_most_frequent_levels_and_the_share_of_the_rest() -> None:
    many = pl.DataFrame({"dest": [f"d{i}" for i in range(100) for _ in range(100 - i)]})
    about = profile(many, np.zeros(many.height))["columns"]["dest"]
    assert about["levels"] == [f"d{i}" for i in range(20)]
    assert about["shares"][20] == pytest.approx(sum(range(1, 81)) / many.height)


def test_psi_is_the_textbook_sum() -> None:
    expected, actual = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
    assert psi(expected, actual) == pytest.approx(-0.1 * np.log(0.8) + 0.1 * np.log(4 / 3))


@given(counts=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=12))
@settings(deadline=None)
def test_psi_and_js_are_symmetric_and_not_negative_and_js_is_that_of_scipy(counts: list[tuple[int, int]]) -> None:
    a, b = (np.array(side, dtype=float) + (1e-9 if sum(side) == 0 else 0) for side in zip(*counts, strict=True))
    a, b = a / a.sum(), b / b.sum()
    assert psi(a, b) == pytest.approx(psi(b, a))
    assert psi(a, b) >= 0
    assert js(a, b) == pytest.approx(jensenshannon(a, b, base=2), abs=1e-6)


def test_a_profiled_column_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(DriftError, match="wind"):
        drift(profile(frame(), scores()), frame().drop("wind"), scores())


def test_a_number_that_became_text_is_an_error_that_names_it() -> None:
    with pytest.raises(DriftError, match="hour"):
        drift(profile(frame(), scores()), frame().with_columns(hour=pl.lit("noon")), scores())


@pytest.mark.parametrize("bad", [np.full(ROWS, np.nan), np.zeros(3), np.full(ROWS, np.inf)])
def test_scores_that_do_not_fit_the_rows_are_an_error(bad: Any) -> None:
    with pytest.raises(DriftError, match="score"):
        drift(profile(frame(), scores()), frame(), bad)


@pytest.mark.parametrize("bad", [np.full(ROWS, np.nan), np.zeros(0), np.full(3, np.inf)])
def test_scores_that_say_nothing_make_no_profile(bad: Any) -> None:
    with pytest.raises(DriftError, match="score"):
        profile(frame(), bad)


def test_the_profile_takes_scores_of_other_rows() -> None:
    assert sum(profile(frame(), np.linspace(0, 1, 7))["score"]["shares"]) == pytest.approx(1)


def test_no_rows_are_an_error_and_never_no_drift() -> None:
    with pytest.raises(DriftError, match="current"):
        drift(profile(frame(), scores()), frame().head(0), [])
    with pytest.raises(DriftError, match="reference"):
        profile(frame().head(0), [])


def test_a_column_type_without_a_profile_is_an_error_that_names_it() -> None:
    with pytest.raises(DriftError, match="when"):
        profile(frame().with_columns(when=pl.lit("2013-01-01").str.to_date()), scores())
