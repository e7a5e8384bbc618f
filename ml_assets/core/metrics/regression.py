"""Regression metrics: value and influence function (delta method), with the 1/n included."""

import numpy as np

from ml_assets.core.metrics.arrays import Floats


def absolute_losses(y: Floats, s: Floats) -> Floats:
    """|prediction - actual|: its mean is the MAE."""
    return np.abs(s - y)


def relative_losses(y: Floats, s: Floats) -> Floats:
    """|prediction - actual| / |actual|: its mean is the MAPE. NaN where an actual value is 0, of which nothing is a share."""
    return np.abs(s - y) / np.where(y == 0, np.nan, np.abs(y))


def errors(y: Floats, s: Floats) -> Floats:
    """Prediction - actual: its mean is the bias, positive when predictions are too high."""
    return s - y


def pinball_losses(y: Floats, s: Floats, quantile: float) -> Floats:
    """The quantile loss of Koenker & Bassett (1978): q * (y - s) below the actual value, (1 - q) * (s - y) above it."""
    return np.maximum(quantile * (y - s), (quantile - 1) * (y - s))


def rmse(y: Floats, s: Floats, w: Floats | None = None) -> float:
    """The root of the mean squared error."""
    return float(np.sqrt(np.average((s - y) ** 2, weights=w)))


def rmse_influence(y: Floats, s: Floats) -> Floats:
    """Delta method on sqrt(MSE): psi = (e^2 - MSE) / (2 RMSE n); zero for a perfect fit."""
    squares = (s - y) ** 2
    root = np.sqrt(squares.mean())
    return np.zeros_like(y) if root == 0 else (squares - squares.mean()) / (2 * root * y.size)


def r2(y: Floats, s: Floats, w: Floats | None = None) -> float:
    """1 - residual / total sum of squares; NaN when the actual values do not vary."""
    centre = np.average(y, weights=w)
    total = np.average((y - centre) ** 2, weights=w)
    return float(1 - np.average((y - s) ** 2, weights=w) / total) if total > 0 else float("nan")


def r2_influence(y: Floats, s: Floats) -> Floats:
    """Delta method on a ratio of sums: psi = -(e^2 - (1 - R2)(y - mean)^2) / total.

    The mean of y is the minimum of the total, so its own influence vanishes to first order.
    """
    deviations = (y - y.mean()) ** 2
    return np.asarray(-((y - s) ** 2 - (1 - r2(y, s)) * deviations) / deviations.sum())
