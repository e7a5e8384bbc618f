"""A release as MLflow's users load one: `mlflow.pyfunc.load_model("models:/flights@production")`, with rows of features.

The endpoint never loads a release this way. MLflow names this module in a version's MLmodel file; it is of the installed package,
and nothing that lies with the version is executed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.core.model.scoring import ScoringError
from ml_assets.serving.plain.feature_values import CATEGORY, FeatureValues
from ml_assets.serving.release.bundle import Bundle, Card, load

if TYPE_CHECKING:
    from numpy.typing import NDArray


def answers_of(card: Card) -> dict[str, str]:
    """The columns of what is returned, with MLflow's names of their types: the fields of the endpoint's answer."""
    if card.classes:
        return {"class": "string", **{f"probability_{name}": "double" for name in card.classes}}
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
        features = self.bundle.card.features
        if missing := [feature["name"] for feature in features if feature["name"] not in model_input.columns]:
            raise ScoringError(
                f"{self.bundle.release} needs the features {', '.join(missing)}; there are {[*model_input.columns]}"
            )
        scores = self.bundle.score_features(values_of(model_input, features))
        return type(model_input)(self._answer(scores), index=model_input.index)

    def _answer(self, scores: "NDArray[np.float64]") -> dict[str, Any]:
        """The columns of `answers_of`."""
        card = self.bundle.card
        if classes := card.classes:
            likeliest = [classes[number] for number in scores.argmax(axis=1)]
            return {"class": likeliest, **{f"probability_{name}": scores[:, number] for number, name in enumerate(classes)}}
        decision = {} if card.threshold is None else {"decision": scores >= card.threshold}
        return {next(iter(answers_of(card))): scores, **decision}


def values_of(frame: Any, features: Sequence[Mapping[str, str]]) -> FeatureValues:
    """The columns of a pandas DataFrame as the model takes them; what is missing (None, NaN) is missing."""
    columns = {feature["name"]: frame[feature["name"]] for feature in features}
    numbers = [columns[f["name"]].to_numpy(dtype=np.float64, na_value=np.nan) for f in features if f["kind"] != CATEGORY]
    texts = [columns[f["name"]] for f in features if f["kind"] == CATEGORY]
    categories = [[None if absent else text for text, absent in zip(column, column.isna(), strict=True)] for column in texts]
    return FeatureValues(len(frame), np.array(numbers, dtype=np.float64).reshape(len(numbers), len(frame)), categories)


def _load_pyfunc(path: str) -> PyfuncModel:
    """What MLflow calls, with the version's folder `bundle`. Raises BundleRefused where its golden rows score otherwise."""
    return PyfuncModel(load(Path(path)))
