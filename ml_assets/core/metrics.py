"""The registry of metrics. Formulas: metrics_binary.py, metrics_regression.py. Intervals: metrics_estimate.py."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ml_assets.core import metrics_binary as binary
from ml_assets.core import metrics_regression as regression
from ml_assets.core.intervals import Units
from ml_assets.core.metrics_types import Floats, Task

Best: TypeAlias = Literal["greatest", "least", "nearest_zero"]
Losses: TypeAlias = Callable[[Floats, Floats], Floats]
INFINITY = float("inf")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number about y and s, with the influence of each row on it, or else its resampled values."""

    name: str
    task: Task
    best: Best
    range: tuple[float, float]
    value: Callable[[Floats, Floats, Floats | None], float]
    influence: Losses | None = None
    resamples: Callable[[Floats, Floats, Units], Floats] | None = None
    needs_both_classes: bool = False

    @property
    def greater_is_better(self) -> bool:
        return self.best == "greatest"

    def advantage(self, candidate: float, champion: float) -> float:
        """By how much the candidate is better; negative when it is worse, NaN when either is NaN."""
        if self.best == "greatest":
            return candidate - champion
        if self.best == "least":
            return champion - candidate
        return abs(champion) - abs(candidate)


def _mean(name: str, task: Task, best: Best, bounds: tuple[float, float], losses: Losses) -> Metric:
    return Metric(
        name=name,
        task=task,
        best=best,
        range=bounds,
        value=lambda y, s, w: binary.mean_loss(losses(y, s), w),
        influence=lambda y, s: binary.mean_influence(losses(y, s)),
    )


def accuracy_at(threshold: float) -> Metric:
    """The share of rows that land on the right side of the threshold (at it counts as positive)."""
    return _mean("accuracy", "binary", "greatest", (0, 1), lambda y, s: np.equal(s >= threshold, y == 1).astype(float))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="roc_auc",
            task="binary",
            best="greatest",
            range=(0, 1),
            value=binary.roc_auc,
            influence=binary.roc_auc_influence,
            needs_both_classes=True,
        ),
        Metric(
            name="pr_auc",
            task="binary",
            best="greatest",
            range=(0, 1),
            value=binary.average_precision,
            resamples=binary.average_precision_resamples,
            needs_both_classes=True,
        ),
        _mean("log_loss", "binary", "least", (0, INFINITY), binary.log_losses),
        _mean("brier", "binary", "least", (0, 1), binary.squared_losses),
        Metric(
            name="calibration_error",
            task="binary",
            best="least",
            range=(0, 1),
            value=binary.calibration_error,
            resamples=binary.calibration_error_resamples,
        ),
        accuracy_at(0.5),
        _mean("mae", "regression", "least", (0, INFINITY), regression.absolute_losses),
        Metric(
            name="rmse",
            task="regression",
            best="least",
            range=(0, INFINITY),
            value=regression.rmse,
            influence=regression.rmse_influence,
        ),
        Metric(
            name="r2",
            task="regression",
            best="greatest",
            range=(-INFINITY, 1),
            value=regression.r2,
            influence=regression.r2_influence,
        ),
        _mean("bias", "regression", "nearest_zero", (-INFINITY, INFINITY), regression.errors),
    )
}


def metrics_of(task: Task, *, threshold: float | None = None) -> tuple[Metric, ...]:
    """The metrics of a task; accuracy is at the product's decision threshold."""
    metrics = {name: metric for name, metric in METRICS.items() if metric.task == task}
    if threshold is not None and "accuracy" in metrics:
        metrics["accuracy"] = accuracy_at(threshold)
    return tuple(metrics.values())
