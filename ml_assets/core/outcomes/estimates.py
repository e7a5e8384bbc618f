"""A metric without labels: what it would be if scores meant what they meant on the release's own test window.

The scores are calibrated there (isotonic regression), and each served row counts as a yes with its calibrated probability and as
a no with the rest: the expected confusion of "confidence-based performance estimation". It knows nothing of a change in what a
score means, which is why it is never evidence.
"""

import numpy as np
from scipy.optimize import isotonic_regression

from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.metric import Metric

FEWEST = 50
"""Rows of the test window below which nothing is calibrated."""


def calibrated(scores: Floats, *, tested: Floats, outcomes: Floats) -> Floats:
    """The probability of a yes for each of the scores (n,), by the scores and outcomes (m,) of the test window."""
    levels, inverse, counts = np.unique(tested, return_inverse=True, return_counts=True)
    shares = np.bincount(inverse.ravel(), weights=outcomes) / counts
    fitted = isotonic_regression(shares, weights=counts.astype(np.float64)).x
    least = 1 / (2 * outcomes.size)  # no score is certain because of few rows
    return np.asarray(np.interp(scores, levels, np.clip(fitted, least, 1 - least)))


def expected(metric: Metric, scores: Floats, probabilities: Floats) -> float | None:
    """The metric of the scores (n,) where each row is a yes with its probability (n,); None where it is undefined."""
    y = np.concatenate([np.ones_like(scores), np.zeros_like(scores)])
    weights = np.concatenate([probabilities, 1 - probabilities])
    value = metric.value(y, np.concatenate([scores, scores]), weights)
    return float(value) if np.isfinite(value) else None


def why_none(task: str, tested: int) -> str:
    """Why nothing is estimated; empty where something is."""
    if task != "binary":
        return f"a {task} has no calibration of a yes to estimate by"
    return "" if tested >= FEWEST else f"the test window has {tested} rows, and {FEWEST} are needed to calibrate"
