"""The registry of metrics. Formulas: binary.py, regression.py. Intervals: estimates.py."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ml_assets.core.metrics import binary, regression
from ml_assets.core.metrics.arrays import Floats, Task

Best: TypeAlias = Literal["greatest", "least", "nearest_zero", "neither"]
Losses: TypeAlias = Callable[[Floats, Floats], Floats]
INFINITY = float("inf")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number about y and s, with the influence of each row on it: by itself, or in `both` with the value, where that is
    quicker."""

    name: str
    task: Task
    best: Best
    range: tuple[float, float]
    value: Callable[[Floats, Floats, Floats | None], float]
    influence: Losses | None = None
    both: Callable[[Floats, Floats], tuple[float, Floats]] | None = None
    needs_both_classes: bool = False
    needs: Literal["", "positives", "negatives"] = ""
    is_reported: bool = True

    @property
    def greater_is_better(self) -> bool:
        return self.best == "greatest"

    def advantage(self, candidate: float, champion: float) -> float:
        """By how much the candidate is better; negative when it is worse, NaN when either is NaN or nothing is better."""
        if self.best == "greatest":
            return candidate - champion
        if self.best == "least":
            return champion - candidate
        if self.best == "neither":
            return float("nan")
        return abs(champion) - abs(candidate)


def _mean(name: str, task: Task, best: Best, bounds: tuple[float, float], losses: Losses, *, is_reported: bool = True) -> Metric:
    return Metric(
        name=name,
        task=task,
        best=best,
        range=bounds,
        value=lambda y, s, w: binary.mean_loss(losses(y, s), w),
        influence=lambda y, s: binary.mean_influence(losses(y, s)),
        is_reported=is_reported,
    )


def _pinball(percent: int) -> Metric:
    quantile = percent / 100
    return _mean(
        f"pinball_{percent}",
        "regression",
        "least",
        (0, INFINITY),
        lambda y, s: regression.pinball_losses(y, s, quantile),
        is_reported=False,
    )


def accuracy_at(threshold: float) -> Metric:
    """The share of rows that land on the right side of the threshold (at it counts as positive)."""
    return _mean("accuracy", "binary", "greatest", (0, 1), lambda y, s: np.equal(s >= threshold, y == 1).astype(float))


def selection_rate_at(threshold: float) -> Metric:
    """The share of rows that are decided positive. Neither more nor less of it is better: it is compared between groups."""
    return _mean("selection_rate", "binary", "neither", (0, 1), lambda y, s: (s >= threshold).astype(float))


def _rate_at(name: str, threshold: float, *, best: Best, among: Literal["positives", "negatives"]) -> Metric:
    def rows(y: Floats) -> Floats:
        return y if among == "positives" else 1 - y

    return Metric(
        name=name,
        task="binary",
        best=best,
        range=(0, 1),
        value=lambda y, s, w: binary.share_among((s >= threshold).astype(float), rows(y), w),
        influence=lambda y, s: binary.share_among_influence((s >= threshold).astype(float), rows(y)),
        needs=among,
    )


def tpr_at(threshold: float) -> Metric:
    """The true positive rate: the share of actual positives that are decided positive."""
    return _rate_at("tpr", threshold, best="greatest", among="positives")


def fpr_at(threshold: float) -> Metric:
    """The false positive rate: the share of actual negatives that are decided positive."""
    return _rate_at("fpr", threshold, best="least", among="negatives")


AT_THRESHOLD: dict[str, Callable[[float], Metric]] = {
    "accuracy": accuracy_at,
    "selection_rate": selection_rate_at,
    "tpr": tpr_at,
    "fpr": fpr_at,
}
"""Metrics of decisions, by the threshold at which a score becomes one."""

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
            both=binary.roc_auc_both,
            needs_both_classes=True,
        ),
        Metric(
            name="pr_auc",
            task="binary",
            best="greatest",
            range=(0, 1),
            value=binary.average_precision,
            both=binary.average_precision_both,
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
            influence=binary.calibration_error_influence,
        ),
        _mean("calibration_gap", "binary", "nearest_zero", (-1, 1), lambda y, s: s - y),
        *(metric(0.5) for metric in AT_THRESHOLD.values()),
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
        *map(_pinball, (10, 50, 90)),
    )
}


def metric_at(name: str, threshold: float | None) -> Metric:
    """The metric; one of decisions at the product's threshold."""
    return METRICS[name] if threshold is None or name not in AT_THRESHOLD else AT_THRESHOLD[name](threshold)


def metrics_of(task: Task, *, threshold: float | None = None) -> tuple[Metric, ...]:
    """The metrics that an evaluation of the task reports; those of decisions only where the product makes some, but accuracy."""
    decided = set(AT_THRESHOLD) - {"accuracy"} if threshold is None else set()
    reported = (m for m in METRICS.values() if m.task == task and m.is_reported and m.name not in decided)
    return tuple(metric_at(metric.name, threshold) for metric in reported)
