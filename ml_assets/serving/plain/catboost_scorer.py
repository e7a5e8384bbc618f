"""Scores of feature values by CatBoost itself, with the function that evaluation uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ml_assets.core.model.scoring import score_rows
from ml_assets.serving.plain.feature_values import FeatureValues

if TYPE_CHECKING:
    import numpy as np
    from catboost import CatBoost
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CatBoostScorer:
    """Scores rows with one model, whose inputs are `features` in order."""

    model: "CatBoost"
    features: Sequence[Mapping[str, str]]
    engine: Literal["catboost"] = "catboost"

    def scores(self, values: FeatureValues) -> "NDArray[np.float64]":
        """Return float64 scores: probabilities of the positive class or values, (rows,); of each class, (rows, classes)."""
        return score_rows(self.model, values.rows(self.features), self.features)
