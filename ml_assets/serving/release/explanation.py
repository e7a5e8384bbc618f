"""Explains a prediction: its features and what each of them added to the score, by the bundle that served it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_assets.core.model.scoring import ScoringError
from ml_assets.serving.release.bundle import Bundle

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Share:
    """One feature: its value, and what it adds to the raw score."""

    feature: str
    value: Any
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """`raw_score` is `expected` (the training rows' mean) and all contributions together: log-odds of a binary score, or
    the value. `score` is computed again, from the logged request. Of several classes all of it is about the `likeliest` one."""

    score: float
    raw_score: float
    expected: float
    threshold: float | None
    likeliest: str | None
    shares: tuple[Share, ...]
    """Those that add or take most first."""


def explain(bundle: Bundle, request: Mapping[str, Any]) -> Explanation:
    """Compute and score the features of a logged request again, and attribute the score to them. Raises ScoringError."""
    from catboost import Pool

    values = bundle.features_of(bundle.requests.convert([request]))
    (score,), (row,) = bundle.score_features(values), values.rows(bundle.card.features)
    features, classes = bundle.card.features, bundle.card.classes
    number = int(score.argmax()) if classes else 0
    categories = [position for position, feature in enumerate(features) if feature["kind"] == "category"]
    pool = Pool(np.array([row], dtype=object), cat_features=categories)
    model = bundle.engines.scorer.model
    raw = float(np.atleast_1d(model.predict(pool, prediction_type="RawFormulaVal", thread_count=1)[0])[number])
    values_of_row = np.atleast_2d(model.get_feature_importance(pool, type="ShapValues", thread_count=1)[0])
    *contributions, expected = values_of_row[number].tolist()
    if not abs(math.fsum([expected, *contributions]) - raw) <= TOLERANCE:
        totals = f"{math.fsum([expected, *contributions])!r}, the raw score is {raw!r}"
        raise ScoringError(f"{bundle.release}: the expected value and the contributions add up to {totals}")
    named = zip(features, row, contributions, strict=True)
    shares = [Share(feature["name"], _or_none(value), share) for feature, value, share in named]
    own, likeliest = float(np.max(score)), classes[number] if classes else None
    return Explanation(own, raw, expected, bundle.card.threshold, likeliest, _largest_first(shares))


def _or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _largest_first(shares: Sequence[Share]) -> tuple[Share, ...]:
    return tuple(sorted(shares, key=lambda share: -abs(share.contribution)))
