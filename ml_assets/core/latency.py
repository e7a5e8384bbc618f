"""How long a model takes for one row, as the endpoint asks it: read off a clock, so never part of what a snapshot is."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.core.scoring import score_rows

if TYPE_CHECKING:
    from catboost import CatBoost

CALLS = 300
WARM = 20


def p99_ms(model: "CatBoost", rows: Sequence[tuple[Any, ...]], features: Sequence[dict[str, str]]) -> float:
    """The 99th percentile of the milliseconds that one row takes, over 300 calls of CatBoost.

    The endpoint calls it too, or takes less: by the model's trees in NumPy.
    """
    spent = []
    for number in range(WARM + CALLS):
        row = [rows[number % len(rows)]]
        begun = time.perf_counter()
        score_rows(model, row, features)
        spent.append(1000 * (time.perf_counter() - begun))
    return float(np.quantile(spent[WARM:], 0.99))
