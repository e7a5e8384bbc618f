"""The registry of metrics. Formulas: binary.py, calibration.py, multiclass.py, regression.py, decisions.py. Intervals:
estimates.py."""

from dataclasses import replace

from ml_assets.core.metrics import binary, calibration, regression
from ml_assets.core.metrics.arrays import Task
from ml_assets.core.metrics.decisions import AT_THRESHOLD, value_of
from ml_assets.core.metrics.metric import Metric, mean
from ml_assets.core.metrics.multiclass import MULTICLASS
from ml_assets.spec.monitoring import ValueSpec


def _pinball(percent: int) -> Metric:
    quantile = percent / 100
    return mean(
        f"pinball_{percent}",
        "regression",
        "least",
        lambda y, s: regression.pinball_losses(y, s, quantile),
        is_reported=False,
    )


USUAL_THRESHOLD = 0.5
_OF_ONE_SCORE: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="roc_auc",
            task="binary",
            best="greatest",
            value=binary.roc_auc,
            influence=binary.roc_auc_influence,
            both=binary.roc_auc_both,
            needs_both_classes=True,
        ),
        Metric(
            name="pr_auc",
            task="binary",
            best="greatest",
            value=binary.average_precision,
            both=binary.average_precision_both,
            needs_both_classes=True,
        ),
        mean("log_loss", "binary", "least", binary.log_losses),
        mean("brier", "binary", "least", binary.squared_losses),
        Metric(
            name="calibration_error",
            task="binary",
            best="least",
            value=binary.calibration_error,
            influence=binary.calibration_error_influence,
        ),
        Metric(
            name="calibration_loss",
            task="binary",
            best="least",
            value=calibration.calibration_loss,
            influence=calibration.calibration_loss_influence,
            bias=calibration.calibration_bias,
            is_reported=False,
        ),
        Metric(
            name="calibration_slope",
            task="binary",
            best="neither",
            value=calibration.calibration_slope,
            influence=calibration.calibration_slope_influence,
            needs_both_classes=True,
            is_reported=False,
        ),
        mean("calibration_gap", "binary", "nearest_zero", lambda y, s: s - y),
        *(metric(USUAL_THRESHOLD) for metric in AT_THRESHOLD.values()),
        mean("mae", "regression", "least", regression.absolute_losses),
        Metric(
            name="rmse",
            task="regression",
            best="least",
            value=regression.rmse,
            influence=regression.rmse_influence,
        ),
        Metric(
            name="r2",
            task="regression",
            best="greatest",
            value=regression.r2,
            influence=regression.r2_influence,
        ),
        # in the label it is no straight line, by which core.gates.worst_case bounds the others
        replace(mean("mape", "regression", "least", regression.relative_losses, is_reported=False), losses=None),
        mean("bias", "regression", "nearest_zero", regression.errors),
        *map(_pinball, (10, 50, 90)),
        replace(value_of(ValueSpec(error=-1), USUAL_THRESHOLD), is_reported=False),
    )
}
METRICS: dict[str, Metric] = {**MULTICLASS, **_OF_ONE_SCORE}
"""By name, for what a name says whatever the task is: its best side and its range."""


def of_task(task: Task) -> dict[str, Metric]:
    """The metrics of a task, by name."""
    if task == "multiclass":
        return MULTICLASS
    return {name: metric for name, metric in _OF_ONE_SCORE.items() if metric.task == task}


def metric_at(name: str, threshold: float | None, worth: ValueSpec | None = None, *, task: Task) -> Metric:
    """The metric of a task; one of decisions at the product's threshold, and the value by what a row is worth to the product."""
    if name == "value" and worth is not None:
        return value_of(worth, USUAL_THRESHOLD if threshold is None else threshold)
    if task == "multiclass":
        return MULTICLASS[name]
    return _OF_ONE_SCORE[name] if threshold is None or name not in AT_THRESHOLD else AT_THRESHOLD[name](threshold)


def metrics_of(task: Task, *, threshold: float | None = None, worth: ValueSpec | None = None) -> tuple[Metric, ...]:
    """The metrics that an evaluation of the task reports; those of decisions only where the product makes some, but accuracy, and
    the value only where it declares one."""
    decided = set(AT_THRESHOLD) - {"accuracy"} if threshold is None else set()
    reported = (m for m in of_task(task).values() if m.is_reported and m.name not in decided)
    names = [*(metric.name for metric in reported), *([] if worth is None else ["value"])]
    return tuple(metric_at(name, threshold, worth, task=task) for name in names)
