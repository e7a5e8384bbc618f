"""The model's input for some rows, by column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.core.model.scoring import MISSING_CATEGORY

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row = tuple[Any, ...]
CATEGORY = "category"


@dataclass(frozen=True)
class FeatureValues:
    """Feature values of `count` rows; the order of columns is that of the release's features, numbers and categories apart.

    `numbers` is float64, of shape (number features, rows), NaN where a value is missing. `categories` has a list of texts for
    each category feature, MISSING_CATEGORY where one is missing.
    """

    count: int
    numbers: "NDArray[np.float64]"
    categories: Sequence[list[Any]]

    def __post_init__(self) -> None:
        """Give missing categories the level that represents them in training."""
        filled = [[MISSING_CATEGORY if text is None else text for text in c] if None in c else c for c in self.categories]
        object.__setattr__(self, "categories", filled)

    @classmethod
    def of_rows(cls, rows: Sequence[Row], features: Sequence[Mapping[str, str]]) -> "FeatureValues":
        """Make columns of plain rows with the values of `features` in order; a missing number is None or NaN."""
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(features)
        kinds = [feature["kind"] for feature in features]
        numbers = [column for column, kind in zip(columns, kinds, strict=True) if kind != CATEGORY]
        texts = [list(column) for column, kind in zip(columns, kinds, strict=True) if kind == CATEGORY]
        return cls(len(rows), np.array(numbers, dtype=np.float64).reshape(len(numbers), len(rows)), texts)

    def rows(self, features: Sequence[Mapping[str, str]]) -> list[Row]:
        """Return plain rows with the values of `features` in order."""
        numbers, texts = iter(self.numbers.tolist()), iter(self.categories)
        columns = [next(texts) if feature["kind"] == CATEGORY else next(numbers) for feature in features]
        return list(zip(*columns, strict=True)) if columns else [()] * self.count

    def only(self, kept: "NDArray[np.bool_]") -> "FeatureValues":
        """Return the values of the rows where `kept`, of shape (rows,), is True."""
        texts = [[value for value, is_kept in zip(column, kept, strict=True) if is_kept] for column in self.categories]
        return FeatureValues(int(kept.sum()), self.numbers[:, kept], texts)

    def with_rows(self, positions: Sequence[int], others: "FeatureValues") -> "FeatureValues":
        """Return these values with `others`, one row for each position, in the rows at `positions`."""
        numbers, texts = self.numbers.copy(), [list(column) for column in self.categories]
        numbers[:, list(positions)] = others.numbers
        for column, values in zip(texts, others.categories, strict=True):
            for position, value in zip(positions, values, strict=True):
                column[position] = value
        return FeatureValues(self.count, numbers, texts)

    def differing(self, other: "FeatureValues") -> list[int]:
        """Return the rows whose values aren't equal to the last bit: NaN equals NaN, and 0.0 differs from -0.0."""
        same_bits = np.ascontiguousarray(self.numbers).view(np.int64) == np.ascontiguousarray(other.numbers).view(np.int64)
        same = (same_bits | (np.isnan(self.numbers) & np.isnan(other.numbers))).all(axis=0)
        for one, another in zip(self.categories, other.categories, strict=True):
            same &= np.array([a == b for a, b in zip(one, another, strict=True)], dtype=bool)
        rows: list[int] = np.flatnonzero(~same).tolist()
        return rows
