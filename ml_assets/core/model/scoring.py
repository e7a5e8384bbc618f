"""From feature rows to scores: the one function that evaluation and the endpoint share, equal bit for bit.

A feature is `{"name": ..., "kind": "number" | "category"}`, as in a release's bundle.json.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ml_assets.errors import MlAssetsError
from ml_assets.spec.tasks import LEAST_CLASSES, TASKS

if TYPE_CHECKING:
    from catboost import CatBoost
    from numpy.typing import NDArray

    from ml_assets.spec.tasks import Task

Features = Sequence[Mapping[str, str]]
MISSING_CATEGORY = "(missing)"
"""The value of a missing text for a model: a category of its own, in training as in serving."""


class ScoringError(MlAssetsError):
    """A model that cannot be read, or rows that it cannot score."""


def load_model(source: Path | bytes, task: "Task") -> "CatBoost":
    """The model of a saved .cbm, by CatBoost's own loader: nothing in the file is executed."""
    from catboost import CatBoostClassifier, CatBoostError, CatBoostRegressor

    content = source if isinstance(source, bytes) else source.read_bytes()
    _refuse_unless_whole(content)
    model = CatBoostClassifier() if TASKS[task].is_classifier else CatBoostRegressor()
    try:
        model.load_model(blob=content)
    except CatBoostError as error:
        raise ScoringError(f"model.cbm: CatBoost cannot load it: {error}") from error
    return model


def check_features(model: "CatBoost", features: Features) -> None:
    """Refuse a model that was fitted on other columns, another order or other categories than `features`."""
    names = [feature["name"] for feature in features]
    categories = [position for position, feature in enumerate(features) if feature["kind"] == "category"]
    if list(model.feature_names_) != names:
        raise ScoringError(f"the model was fitted on {list(model.feature_names_)}, the features are {names}")
    if list(model.get_cat_feature_indices()) != categories:
        raise ScoringError(f"the model's categories are columns {model.get_cat_feature_indices()}, not {categories}")


def score_frame(model: "CatBoost", frame: pl.DataFrame, features: Features) -> "NDArray[np.float64]":
    """Scores of the frame's rows, in their order (n,): the probability of the positive class, or the value. Of a model of several
    classes the probability of each, (n, classes)."""
    from catboost import Pool

    if frame.is_empty():
        return _nothing(model)
    columns = frame.select(_column(feature) for feature in features)
    return _predict(model, Pool(columns, cat_features=_categories(features)), threads=-1)


def score_rows(model: "CatBoost", rows: Sequence[tuple[Any, ...]], features: Features) -> "NDArray[np.float64]":
    """The same scores for plain rows with the values of `features` in order; a missing number is None or NaN."""
    if not rows:
        return _nothing(model)
    if any(len(row) != len(features) for row in rows):
        raise ScoringError(f"every row needs {len(features)} values, one for each feature")
    return _predict(model, np.array(rows, dtype=object), threads=1)


def _refuse_unless_whole(content: bytes) -> None:
    # CatBoost's loader crashes the process on such files; a changed byte inside is for the digest to find.
    if content[:4] != b"CBM1" or len(content) < 8 + int.from_bytes(content[4:8], "little"):
        raise ScoringError(f"model.cbm: {len(content)} bytes that are not a whole CatBoost model")


def class_count(model: "CatBoost") -> int:
    """The number of classes of a model of several, 0 of any other."""
    from catboost import CatBoostClassifier

    count = len(model.classes_) if isinstance(model, CatBoostClassifier) else 0
    return count if count >= LEAST_CLASSES else 0


def _nothing(model: "CatBoost") -> "NDArray[np.float64]":
    count = class_count(model)
    return np.empty((0, count) if count else 0, dtype=np.float64)


def _predict(model: "CatBoost", rows: Any, *, threads: int) -> "NDArray[np.float64]":
    from catboost import CatBoostClassifier, CatBoostError

    is_classifier = isinstance(model, CatBoostClassifier)
    kind = "Probability" if is_classifier else "RawFormulaVal"
    try:
        predictions = model.predict(rows, prediction_type=kind, thread_count=threads)
    except CatBoostError as error:
        raise ScoringError(f"CatBoost cannot score the rows: {error}") from error
    is_binary = is_classifier and not class_count(model)
    return np.ascontiguousarray(predictions[:, 1] if is_binary else predictions, dtype=np.float64)


def _column(feature: Mapping[str, str]) -> pl.Expr:
    column = pl.col(feature["name"])
    if feature["kind"] == "category":
        return column.cast(pl.String).fill_null(MISSING_CATEGORY)
    return column.cast(pl.Float64).fill_null(float("nan"))


def _categories(features: Features) -> list[str]:
    return [feature["name"] for feature in features if feature["kind"] == "category"]
