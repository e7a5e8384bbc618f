"""Compiled trees give CatBoost's scores to the last bit, or aren't used."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from catboost import CatBoost, CatBoostClassifier, CatBoostRegressor, Pool
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.core.model.scoring import MISSING_CATEGORY
from ml_assets.serving.compiled import trees
from ml_assets.serving.compiled.scorer import compile_scorer, probes
from ml_assets.serving.compiled.trees import CompiledTrees
from ml_assets.serving.compiled.unsupported import Unsupported
from ml_assets.serving.plain.catboost_scorer import CatBoostScorer
from ml_assets.serving.plain.feature_values import FeatureValues, Row

FEATURES = [
    {"name": "x", "kind": "number"},
    {"name": "c", "kind": "category"},
    {"name": "y", "kind": "number"},
    {"name": "d", "kind": "category"},
    {"name": "z", "kind": "number"},
]
TEXTS = ["AA", "B6", "é", "", "unknown", "x\x00y", "👩‍🚀", '"quoted"\\', "0", "nan"]
KNOWN = [TEXTS[:6], TEXTS[3:9]]


def rows(count: int, seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)

    def number() -> float:
        return float("nan") if rng.random() < 0.1 else float(rng.normal() * 10.0 ** rng.integers(-3, 4))

    return [(number(), str(rng.choice(KNOWN[0])), number(), str(rng.choice(KNOWN[1])), number()) for _ in range(count)]


def fitted(seed: int, *, task: str = "binary", **more: Any) -> CatBoost:
    rng = np.random.default_rng(seed)
    table = rows(300, seed)
    target = [(row[0] > 0) ^ (row[1] in ("AA", "é")) ^ (row[3] == "unknown") ^ (rng.random() < 0.2) for row in table]
    kind = CatBoostClassifier if task == "binary" else CatBoostRegressor
    fixed = {"random_seed": seed, "thread_count": 1, "allow_writing_files": False, "verbose": False, "one_hot_max_size": 20}
    model = kind(**({"iterations": 12, "depth": 4} | fixed | more))
    label = np.array(target, dtype=float) * (1 if task == "binary" else rng.normal(size=len(table)))
    return model.fit(Pool(np.array(table, dtype=object), label=label, cat_features=[1, 3]))


def compiled(model: CatBoost) -> CompiledTrees:
    return compile_scorer(CatBoostScorer(model, FEATURES), FeatureValues.of_rows(rows(5, 1), FEATURES), KNOWN)


def by_catboost(scorer: CompiledTrees, values: FeatureValues) -> list[float]:
    scores: list[float] = CatBoostScorer(scorer.model, FEATURES).scores(values).tolist()
    return scores


numbers = st.floats(width=64) | st.none() | st.integers(-(2**60), 2**60).map(float)
texts = st.sampled_from(TEXTS) | st.text(max_size=5)
row = st.tuples(numbers, texts, numbers, texts, numbers)


@pytest.mark.parametrize(
    ("task", "more"),
    [
        ("binary", {}),
        ("regression", {}),
        ("binary", {"depth": 1, "iterations": 3}),
        ("binary", {"depth": 9, "iterations": 30, "border_count": 254}),
        ("regression", {"nan_mode": "Max"}),
        ("binary", {"nan_mode": "Min", "boost_from_average": True}),
        ("regression", {"boost_from_average": True, "leaf_estimation_iterations": 5}),
    ],
)
@settings(max_examples=25, deadline=None)
@given(table=st.lists(row, min_size=1, max_size=20))
def test_any_row_scores_as_by_catboost_to_the_last_bit(task: str, more: dict[str, Any], table: list[Row]) -> None:
    scorer = cached_scorer(task, tuple(more.items()))
    values = FeatureValues.of_rows(table, FEATURES)
    assert scorer.scores(values).tolist() == by_catboost(scorer, values)


@cache
def cached_scorer(task: str, more: tuple[tuple[str, Any], ...]) -> CompiledTrees:
    return compiled(fitted(7, task=task, **dict(more)))


def test_thousands_of_rows_score_as_by_catboost_in_any_grouping() -> None:
    scorer = compiled(fitted(3, iterations=60, depth=8))
    table = rows(3000, 11)
    together = scorer.scores(FeatureValues.of_rows(table, FEATURES)).tolist()
    assert together == by_catboost(scorer, FeatureValues.of_rows(table, FEATURES))
    assert len(set(together)) > 1000
    for size in (1, 7, 513):
        parts = [scorer.scores(FeatureValues.of_rows(table[n : n + size], FEATURES)) for n in range(0, 600, size)]
        assert np.concatenate(parts).tolist()[:600] == together[:600]
    assert scorer.scores(FeatureValues.of_rows([], FEATURES)).size == 0


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"one_hot_max_size": 2}, "OnlineCtr"),
        ({"grow_policy": "Lossguide"}, "not oblivious"),
        ({"grow_policy": "Depthwise"}, "not oblivious"),
    ],
)
def test_a_model_of_another_kind_is_left_to_catboost_and_says_why(more: dict[str, Any], why: str) -> None:
    with pytest.raises(Unsupported, match=why):
        compiled(fitted(5, **more))


def test_a_model_of_several_values_a_row_is_not_compiled() -> None:
    model = fitted(5, task="regression", loss_function="RMSEWithUncertainty")
    with pytest.raises(Unsupported):
        CompiledTrees(model, FEATURES, rows(1, 1)[0])


def test_a_large_model_is_left_to_catboost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MOST_LEAVES", 100)
    with pytest.raises(Unsupported, match="over 100 leaves"):
        compiled(fitted(5))


def test_a_compiled_model_that_differs_in_the_last_bit_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(5)
    monkeypatch.setattr(trees, "expit", lambda raw: np.nextafter(1 / (1 + np.exp(-raw)), 1))
    with pytest.raises(Unsupported, match="other scores than from CatBoost"):
        compiled(model)


def test_probes_try_each_border_from_both_sides_a_missing_number_and_an_unknown_category() -> None:
    golden = FeatureValues.of_rows(rows(5, 1), FEATURES)
    values = probes(golden, {0: np.array([0.5]), 2: np.array([1.0, 2.0])}, KNOWN)
    assert values.count == 5 + (3 + 1) + (6 + 1) + sum(2 + len(known) for known in KNOWN)
    tried = {value for value in values.numbers[0].tolist() if not np.isnan(value)}
    assert {0.5, float(np.nextafter(np.float32(0.5), np.float32(1))), float(np.nextafter(0.5, 1))} <= tried
    assert all("É no such value" in column for column in values.categories)


def test_texts_beyond_what_is_remembered_score_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MOST_TEXTS", 10)
    scorer = compiled(fitted(3))
    for number in range(30):
        table = [(1.0, f"text {number} {n}" if n % 2 else TEXTS[n], 2.0, TEXTS[n], 3.0) for n in range(len(TEXTS))]
        values = FeatureValues.of_rows(table, FEATURES)
        assert scorer.scores(values).tolist() == by_catboost(scorer, values)
        assert max(map(len, scorer._known.values())) <= 10 + len(TEXTS)


def test_numbers_within_float32_of_a_border_score_as_by_catboost() -> None:
    scorer = compiled(fitted(3))
    base = rows(1, 1)[0]
    near = [
        (*base[: 2 * row], float(np.nextafter(border, towards)), *base[2 * row + 1 :])
        for row, borders in scorer.borders.items()
        for border in borders
        for towards in (-np.inf, border, np.inf)
    ]
    values = FeatureValues.of_rows(near, FEATURES)
    assert scorer.scores(values).tolist() == by_catboost(scorer, values)


def test_a_compiled_model_that_differs_for_a_row_alone_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    real = CompiledTrees._raw

    def other(self: CompiledTrees, numbers: Any, codes: Any) -> Any:
        scores = real(self, numbers, codes)
        return np.nextafter(scores, 1e9) if numbers.shape[1] == 1 else scores

    monkeypatch.setattr(CompiledTrees, "_raw", other)
    with pytest.raises(Unsupported, match="other scores than from CatBoost"):
        compiled(fitted(5))


def test_a_missing_category_is_one_of_its_own_to_both() -> None:
    scorer = compiled(fitted(3))
    missing, named = (FeatureValues.of_rows([(1.0, text, 2.0, "AA", 3.0)], FEATURES) for text in (None, MISSING_CATEGORY))
    assert scorer.scores(missing).tolist() == scorer.scores(named).tolist() == by_catboost(scorer, missing)
