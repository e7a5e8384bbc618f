"""Columns that tell the label better than they ever did: how surprising a separation is, given those of earlier partitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ml_assets.core.plausibility.separation import UnitSeparation

SEPARATION = 0.05
"""By how much a column's |AUC - 0.5| within units has to be above the highest that it ever had."""
LEVEL = 0.01
"""Of all columns of a partition together (Bonferroni)."""
PRIOR_FREEDOM = 4
"""The weight of the errors of the separations themselves next to the spread of the earlier ones, in degrees of freedom."""
MEASURES = (("value", "error"), ("rest", "rest_error"))
"""Of a separation: each measure, and its error."""


@dataclass(frozen=True)
class ColumnLeak:
    """A column's |AUC - 0.5| `now`, and the `most` that it was; `p` that a partition like the earlier ones differs as much."""

    column: str
    now: float
    most: float
    p: float

    @property
    def beyond(self) -> float:
        """By how much it is above all that was."""
        return self.now - self.most


def leaks(before: Sequence[Mapping[str, UnitSeparation]], now: Mapping[str, UnitSeparation], *, least: int) -> list[ColumnLeak]:
    """The columns that separate the label surely and clearly better than in the partitions `before`, worst first, each once. A
    column is looked at if at least `least` of these have it."""
    looks = [
        _look(column, [(getattr(one, value), getattr(one, error)) for one in (*known, measured)])
        for column, measured in now.items()
        if len(known := [earlier[column] for earlier in before if column in earlier]) >= least
        for value, error in MEASURES
    ]
    surprising = [look for look in looks if look.p < LEVEL / len(looks) and look.beyond > SEPARATION]
    by_column = {look.column: look for look in sorted(surprising, key=lambda look: look.beyond)}
    return sorted(by_column.values(), key=lambda look: -look.beyond)


def _look(column: str, measured: Sequence[tuple[float, float]]) -> ColumnLeak:
    """Hold the last of the values of a column, each with its error, against the prediction interval of those before it (Student's
    t), whose variance is moderated by the errors of all of them as in Smyth (2004), as core.gates.too_good does for gains. An AUC
    keeps its sign here: folded at 0.5, values that are noise around it would seem to vary less than they do."""
    values, errors = (np.asarray(numbers) for numbers in zip(*measured, strict=True))
    earlier, now = values[:-1], float(values[-1])
    freedom = PRIOR_FREEDOM + earlier.size - 1
    variance = (PRIOR_FREEDOM * np.mean(errors**2) + (earlier.size - 1) * earlier.var(ddof=1)) / freedom
    spread, away = float(np.sqrt(variance * (1 + 1 / earlier.size))), abs(now - float(earlier.mean()))
    p = float(2 * stats.t.sf(away / spread, freedom)) if spread > 0 else float(away == 0)
    return ColumnLeak(column, abs(now), float(np.abs(earlier).max()), p)
