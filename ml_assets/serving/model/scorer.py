"""Scores of feature values: by the compiled model where it is proven to give CatBoost's, by CatBoost otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ml_assets.core.model.scoring import ScoringError, score_rows
from ml_assets.serving.features.values import FeatureValues
from ml_assets.serving.model.compiled_trees import NO_CATEGORY, CompiledModel, UnsupportedModel

if TYPE_CHECKING:
    from catboost import CatBoost
    from numpy.typing import NDArray

Engine = Literal["compiled", "catboost"]
MOST_PROBES = 4000
MOST_LEVELS = 200
ALONE = 16
"""Golden rows that are also scored one at a time."""


@dataclass
class Scorer:
    """Scores rows with one model; `why_not` says why CatBoost does it, None when the compiled model does. Not for two threads at
    once."""

    model: "CatBoost"
    features: Sequence[Mapping[str, str]]
    compiled: CompiledModel | None = None
    why_not: str | None = None

    @property
    def engine(self) -> Engine:
        return "catboost" if self.compiled is None else "compiled"

    def scores(self, values: FeatureValues) -> "NDArray[np.float64]":
        """Scores of the rows, in their order: those of core.model.scoring to the last bit."""
        return self.by_catboost(values) if self.compiled is None else self.compiled.scores(values)

    def by_catboost(self, values: FeatureValues) -> "NDArray[np.float64]":
        """The same by CatBoost."""
        if any(None in column for column in values.categories):
            raise ScoringError(NO_CATEGORY)
        return score_rows(self.model, values.rows(self.features), self.features)


def scorer(
    model: "CatBoost", features: Sequence[Mapping[str, str]], golden: FeatureValues, levels: Sequence[Sequence[str]]
) -> Scorer:
    """The scorer of a model. `golden` are rows that it takes, at least one; `levels` known values of each category feature."""
    reference = Scorer(model, features)
    try:
        compiled = CompiledModel(model, features, golden.rows(features)[0])
    except UnsupportedModel as error:
        reference.why_not = str(error)
        return reference
    tried = probes(golden, compiled.borders, levels)
    expected = reference.by_catboost(tried)
    alone = [compiled.scores(FeatureValues.of_rows([row], features))[0] for row in golden.rows(features)[:ALONE]]
    differing = np.count_nonzero(compiled.scores(tried) != expected) + np.count_nonzero(alone != expected[: len(alone)])
    if differing:
        reference.why_not = f"compiled, {differing} of {tried.count} rows got other scores than from CatBoost"
        return reference
    return Scorer(model, features, compiled)


def probes(golden: FeatureValues, borders: Mapping[int, "NDArray[np.float64]"], levels: Sequence[Sequence[str]]) -> FeatureValues:
    """The golden rows, and the first of them with one feature at a time at what the model distinguishes: numbers at borders, just
    above and missing, known categories and an unknown one."""
    numbers = [(row, value) for row, found in borders.items() for value in [*_sides(found), np.nan]]
    numbers = numbers[:: 1 + len(numbers) // MOST_PROBES]
    texts = [(column, text) for column, known in enumerate(levels) for text in ["", "É no such value", *known[:MOST_LEVELS]]]
    turns = [number % golden.count for number in range(len(numbers) + len(texts))]
    table = golden.numbers[:, [*range(golden.count), *turns]]
    columns: list[list[Any]] = [[*column, *(column[turn] for turn in turns)] for column in golden.categories]
    for at, (row, value) in enumerate(numbers, golden.count):
        table[row, at] = value
    for at, (column, text) in enumerate(texts, golden.count + len(numbers)):
        columns[column][at] = text
    return FeatureValues(table.shape[1], table, columns)


def _sides(borders: "NDArray[np.float64]") -> list[float]:
    """The borders, the next float32 above each, and the next float64, which is the border in float32."""
    above = np.nextafter(borders.astype(np.float32), np.float32(np.inf)).astype(np.float64)
    sides: list[float] = np.concatenate([borders, above, np.nextafter(borders, np.inf)]).tolist()
    return sides
