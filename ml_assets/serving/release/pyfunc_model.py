"""A release as MLflow's users load one: `mlflow.pyfunc.load_model("models:/flights@production")`, with rows of features.

The endpoint never loads a release this way. MLflow names this module in a version's MLmodel file; it is of the installed package,
and nothing that lies with the version is executed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml_assets.core.metrics.score_columns import likeliest, names
from ml_assets.core.model.scoring import ScoringError
from ml_assets.serving.plain.feature_values import CATEGORY, FeatureValues
from ml_assets.serving.release.bundle import Bundle, Card, load


def answers_of(card: Card) -> dict[str, str]:
    """The columns of what a release returns, with MLflow's names of their types: the fields of the endpoint's answer; of several
    classes one column for the probability of each."""
    if card.classes:
        return {"class": "string", **dict.fromkeys(names("probability", card.classes), "double")}
    if card.task == "binary":
        return {"probability": "double", **({"decision": "boolean"} if card.threshold is not None else {})}
    return {"value": "double"}


class PyfuncModel:
    """Scores frames of features with the same function as the endpoint scores requests, equal to the last bit."""

    def __init__(self, bundle: Bundle) -> None:
        """Take the release in memory."""
        self.bundle = bundle

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Score the rows of a pandas DataFrame that has the release's features as columns; other columns are left alone.

        Returns a DataFrame with the same index: the endpoint's fields but for the id. Raises ScoringError where a feature is not
        there.
        """
        card, features = self.bundle.card, self.bundle.card.features
        if missing := [feature["name"] for feature in features if feature["name"] not in model_input.columns]:
            raise ScoringError(
                f"{self.bundle.release} needs the features {', '.join(missing)}; there are {[*model_input.columns]}"
            )
        scores = self.bundle.score_features(values_of(model_input, features))
        if card.classes:
            answer: dict[str, Any] = {"class": [card.classes[number] for number in likeliest(scores)]}
            answer |= dict(zip(names("probability", card.classes), scores.T, strict=True))
        else:
            answer = {next(iter(answers_of(card))): scores}
        if card.threshold is not None:
            answer["decision"] = scores >= card.threshold
        return type(model_input)(answer, index=model_input.index)


def values_of(frame: Any, features: Sequence[Mapping[str, str]]) -> FeatureValues:
    """The columns of a pandas DataFrame as the model takes them; what is missing (None, NaN) is missing."""
    columns = {feature["name"]: frame[feature["name"]] for feature in features}
    numbers = [columns[f["name"]].to_numpy(dtype=np.float64, na_value=np.nan) for f in features if f["kind"] != CATEGORY]
    texts = [columns[f["name"]] for f in features if f["kind"] == CATEGORY]
    categories = [[None if absent else text for text, absent in zip(column, column.isna(), strict=True)] for column in texts]
    return FeatureValues(len(frame), np.array(numbers, dtype=np.float64).reshape(len(numbers), len(frame)), categories)


def _load_pyfunc(path: str) -> PyfuncModel:
    """MLflow's entry point, with the version's folder `bundle`. Raises BundleRefused where its golden rows score otherwise."""
    return PyfuncModel(load(Path(path)))
