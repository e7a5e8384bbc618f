"""Scores by a model's compiled trees, used only if they are CatBoost's, to the last bit, for every probe row."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.serving.compiled.trees import CompiledTrees
from ml_assets.serving.compiled.unsupported import Unsupported
from ml_assets.serving.plain.catboost_scorer import CatBoostScorer
from ml_assets.serving.plain.feature_values import FeatureValues

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_PROBES = 4000
MOST_LEVELS = 200
SINGLE_PROBES = 16
"""Golden rows that are also scored one at a time."""


def compile_scorer(reference: CatBoostScorer, golden: FeatureValues, levels: Sequence[Sequence[str]]) -> CompiledTrees:
    """Compile the model of `reference`. `golden` are rows that it takes, at least one; `levels` known values of each category.

    Raises Unsupported for a model of another kind, or scores that aren't CatBoost's.
    """
    rows = golden.rows(reference.features)
    trees = CompiledTrees(reference.model, reference.features, rows[0])
    probe_rows = probes(golden, trees.borders, levels)
    expected = reference.scores(probe_rows)
    single = [trees.scores(FeatureValues.of_rows([row], reference.features))[0] for row in rows[:SINGLE_PROBES]]
    differing = np.count_nonzero(trees.scores(probe_rows) != expected) + np.count_nonzero(single != expected[: len(single)])
    if differing:
        raise Unsupported(f"compiled, {differing} of {probe_rows.count} rows got other scores than from CatBoost")
    return trees


def probes(golden: FeatureValues, borders: Mapping[int, "NDArray[np.float64]"], levels: Sequence[Sequence[str]]) -> FeatureValues:
    """The golden rows, and the first of them with one feature at a time at what the model distinguishes: numbers at borders, just
    above and missing, known categories and an unknown one."""
    numbers = [(row, value) for row, limits in borders.items() for value in [*_sides(limits), np.nan]]
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
