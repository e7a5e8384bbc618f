"""The rows of a test window whose label is not known: they decide nothing, and bound what the others say (worst_case.py)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ml_assets.core.metrics.arrays import Floats


@dataclass(frozen=True)
class UnknownRows:
    """Such rows: the scores of each model, (n,) or (n, classes), and the columns that claims divide by."""

    scores: Mapping[str, Floats]
    columns: Mapping[str, pl.Series]

    @property
    def rows(self) -> int:
        """The number of rows, n."""
        return len(next(iter(self.scores.values())))

    def of_level(self, column: str, level: str) -> "UnknownRows":
        """The rows with one level of a column."""
        index = np.flatnonzero((self.columns[column] == level).to_numpy())
        columns = {name: values.gather(index) for name, values in self.columns.items()}
        return replace(self, scores={model: values[index] for model, values in self.scores.items()}, columns=columns)
