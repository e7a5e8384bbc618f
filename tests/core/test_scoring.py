"""Frames and plain rows get the same scores, bit for bit, in any grouping."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.core.model.scoring import MISSING_CATEGORY, ScoringError, check_features, load_model, score_frame, score_rows
from ml_assets.spec.tasks import Task
from tests.support.serving_store import FEATURES, offline_features, requests, train

NAMES = [feature["name"] for feature in FEATURES]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("models")
    tasks: tuple[Task, ...] = ("binary", "regression", "multiclass")
    return {task: train(folder / task, name=task, seed=1, task=task).model for task in tasks}


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_rows_score_as_the_frame_does_whatever_the_batch(models: dict[str, bytes], task: Task) -> None:
    model = load_model(models[task], task)
    frame = offline_features(requests(400, seed=7))
    offline = score_frame(model, frame, FEATURES)
    rows = frame.select(NAMES).rows()
    assert len(np.unique(offline, axis=0)) > 20
    for size in (1, 3, 64, 400):
        batches = [score_rows(model, rows[start : start + size], FEATURES) for start in range(0, 400, size)]
        assert np.array_equal(np.concatenate(batches), offline)


@settings(max_examples=200, deadline=None)
@given(numbers=st.lists(st.floats(width=64) | st.none() | st.integers(-(2**60), 2**60), min_size=6, max_size=6))
def test_any_number_scores_the_same_in_both_forms(models: dict[str, bytes], numbers: list[float | None]) -> None:
    model = load_model(models["binary"], "binary")
    row = ("AA", *(None if n is None else float(n) for n in numbers), "Ω")
    frame = pl.DataFrame(
        [row],
        schema=[*[(n, pl.Float64 if n not in ("carrier", "tail_kind") else pl.String) for n in NAMES]],
        orient="row",
    )
    assert score_rows(model, [row], FEATURES).tolist() == score_frame(model, frame, FEATURES).tolist()


@pytest.mark.parametrize(
    "harm", [lambda whole: whole[:-1], lambda whole: whole[:7], lambda whole: b"", lambda whole: b"X" + whole[1:]]
)
def test_what_is_no_whole_model_never_reaches_catboost(models: dict[str, bytes], harm: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ScoringError, match="not a whole CatBoost model"):
        load_model(harm(models["binary"]), "binary")


def test_values_on_either_side_of_a_border_score_the_same_in_both_forms(models: dict[str, bytes]) -> None:
    model = load_model(models["binary"], "binary")
    base = offline_features(requests(1, seed=7)).select(NAMES).row(0, named=True)
    borders = [(NAMES[index], border) for index, values in model.get_borders().items() for border in values]
    sides = [{**base, name: np.nextafter(border, towards)} for name, border in borders for towards in (-1e9, border, 1e9)]
    frame = pl.DataFrame(sides, schema={name: pl.String if type(base[name]) is str else pl.Float64 for name in NAMES})
    offline = score_frame(model, frame, FEATURES)
    assert len(set(offline.tolist())) > 5
    assert np.array_equal(score_rows(model, frame.rows(), FEATURES), offline)


def test_a_score_is_catboosts_probability_of_the_positive_class(models: dict[str, bytes]) -> None:
    from catboost import Pool

    model = load_model(models["binary"], "binary")
    frame = offline_features(requests(100, seed=3)).select(NAMES)
    pool = Pool(frame.with_columns(pl.col("hour", "is_holiday").cast(pl.Float64)), cat_features=["carrier", "tail_kind"])
    assert np.array_equal(score_frame(model, frame, FEATURES), model.predict_proba(pool)[:, 1])


def test_columns_are_taken_by_name_not_by_position(models: dict[str, bytes]) -> None:
    model = load_model(models["binary"], "binary")
    frame = offline_features(requests(50, seed=7))
    assert np.array_equal(
        score_frame(model, frame.select(reversed(frame.columns)), FEATURES), score_frame(model, frame, FEATURES)
    )


def test_a_probability_lies_between_zero_and_one_and_a_value_need_not(models: dict[str, bytes]) -> None:
    frame = offline_features(requests(100, seed=3))
    probability = score_frame(load_model(models["binary"], "binary"), frame, FEATURES)
    assert 0 < probability.min() < probability.max() < 1
    assert score_frame(load_model(models["regression"], "regression"), frame, FEATURES).max() > 1


def test_no_rows_give_no_scores(models: dict[str, bytes]) -> None:
    model = load_model(models["binary"], "binary")
    assert score_rows(model, [], FEATURES).size == 0
    assert score_frame(model, offline_features(requests(3, seed=1)).clear(), FEATURES).size == 0


def test_a_model_of_other_columns_is_refused(models: dict[str, bytes]) -> None:
    model = load_model(models["binary"], "binary")
    check_features(model, FEATURES)
    with pytest.raises(ScoringError, match="was fitted on"):
        check_features(model, [FEATURES[1], FEATURES[0], *FEATURES[2:]])
    with pytest.raises(ScoringError, match="categories"):
        check_features(model, [{**FEATURES[0], "kind": "number"}, *FEATURES[1:]])


def test_a_missing_category_is_one_of_its_own(models: dict[str, bytes]) -> None:
    model, frame = load_model(models["binary"], "binary"), offline_features(requests(3, seed=1))
    missing, named = (frame.with_columns(carrier=pl.lit(text, pl.String)) for text in (None, MISSING_CATEGORY))
    assert score_frame(model, missing, FEATURES).tolist() == score_frame(model, named, FEATURES).tolist()


def test_a_short_row_is_refused(models: dict[str, bytes]) -> None:
    model = load_model(models["binary"], "binary")
    with pytest.raises(ScoringError, match="8 values"):
        score_rows(model, [("AA", 1.0)], FEATURES)


def test_a_file_that_is_no_whole_model_is_refused(models: dict[str, bytes], tmp_path: Path) -> None:
    whole = models["binary"]
    for content in (b"", b"nothing", b"CBM1", whole[:200], whole[: len(whole) // 2]):
        (tmp_path / "model.cbm").write_bytes(content)
        with pytest.raises(ScoringError, match=r"model\.cbm"):
            load_model(tmp_path / "model.cbm", "binary")
