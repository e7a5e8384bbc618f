"""The tasks that a product may have, and what follows from each of them alone: its loss, its scores and its metrics.

Belongs here: what differs between tasks and can be said without data. Does not: formulas (core.metrics), pictures (core.plots).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "regression", "multiclass"]
Metric = Literal[
    "roc_auc", "pr_auc", "log_loss", "brier", "calibration_error", "calibration_gap", "calibration_loss", "calibration_slope",
    "accuracy", "tpr", "fpr", "selection_rate", "precision", "f1", "mcc", "macro_f1", "macro_auc", "mae", "rmse", "mape", "r2",
    "bias", "pinball_10", "pinball_50", "pinball_90", "value", ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TaskKind:
    """The parts of a task. `loss` is CatBoost's name of what a model minimizes by default; `is_classifier`: scores are
    probabilities; `metrics` are those of its claims. `harm` is the metric by which a model is called worse, and `tuned` the one
    that a search improves where the first one of the gates cannot be."""

    loss: str
    is_classifier: bool
    metrics: tuple[Metric, ...]
    harm: Metric
    tuned: Metric


TASKS: Mapping[Task, TaskKind] = {
    "binary": TaskKind(
        loss="Logloss",
        is_classifier=True,
        metrics=(
            "roc_auc", "pr_auc", "log_loss", "brier", "calibration_error", "calibration_gap", "calibration_loss",
            "calibration_slope", "accuracy", "tpr", "fpr", "selection_rate", "precision", "f1", "mcc", "value",
        ),
        harm="roc_auc",
        tuned="log_loss",
    ),
    "regression": TaskKind(
        loss="RMSE",
        is_classifier=False,
        metrics=("mae", "rmse", "mape", "r2", "bias", "pinball_10", "pinball_50", "pinball_90", "value"),
        harm="rmse",
        tuned="rmse",
    ),
    "multiclass": TaskKind(
        loss="MultiClass",
        is_classifier=True,
        metrics=("log_loss", "accuracy", "macro_f1", "macro_auc", "value"),
        harm="log_loss",
        tuned="log_loss",
    ),
}  # fmt: skip
METRICS: Mapping[Task, tuple[Metric, ...]] = {name: kind.metrics for name, kind in TASKS.items()}
LEAST_CLASSES = 3
"""Two classes are a yes and a no."""


def classes_problem(task: str, classes: tuple[str | int, ...], positive: str | None) -> str:
    """The mistake in the declared classes of a label; empty if there is none."""
    if task != "multiclass":
        return (
            f"classes: only a label of several classes has them; allowed with task: multiclass, found {task}" if classes else ""
        )
    if positive is not None:
        return "positive: no class is the yes of a task: multiclass; leave it out"
    names = [str(name) for name in classes]
    if len(names) < LEAST_CLASSES:
        listed = f"found {', '.join(names)}" if names else "they are missing"
        return f"classes: task: multiclass needs {LEAST_CLASSES} classes or more, in their order; {listed}"
    if twice := sorted({name for name in names if names.count(name) > 1}):
        return f"classes: names must differ; found twice: {', '.join(twice)}"
    if odd := [name for name in names if not name.strip() or not name.isprintable()]:
        return f"classes: a class needs a name that can be read; found {odd[0]!r}"
    return ""
