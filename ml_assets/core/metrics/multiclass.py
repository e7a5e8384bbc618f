"""Metrics of a label of several classes: value and influence function, with the 1/n included.

`y` is the number of the class (n,), `s` the probability of each class (n, classes), `w` a weight per row. A decision is the most
probable class. "macro": the mean over classes of the metric of each one against all others.
"""

from collections.abc import Callable

import numpy as np

from ml_assets.core.metrics import binary
from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.metric import Metric, mean
from ml_assets.core.metrics.score_columns import likeliest


def log_losses(y: Floats, s: Floats) -> Floats:
    """-log of the probability given to the class that it was, kept away from log(0): (n,)."""
    eps = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(s[np.arange(y.size), y.astype(np.int64)], eps, 1 - eps)))


def hits(y: Floats, s: Floats) -> Floats:
    """1 where the most probable class is the right one, else 0: (n,)."""
    return np.equal(likeliest(s), y).astype(np.float64)


def macro_f1(y: Floats, s: Floats, w: Floats | None = None) -> float:
    """The mean over classes of F1, 2 TP / (2 TP + FP + FN)."""
    return _over_classes(lambda truth, decided: _f1(truth, decided, w), y, _decisions(s))


def macro_f1_influence(y: Floats, s: Floats) -> Floats:
    """The mean of the influence functions of each class's F1, a ratio of sums."""
    decided = _decisions(s)
    parts = [binary.share_among_influence(truth * decided[:, k], truth + decided[:, k]) for k, truth in enumerate(_truths(y, s))]
    return np.asarray(np.mean(parts, axis=0))


def macro_auc(y: Floats, s: Floats, w: Floats | None = None) -> float:
    """The mean over classes of the ROC AUC of one class against the rest."""
    return _over_classes(lambda truth, score: binary.roc_auc(truth, score, w), y, s)


def macro_auc_both(y: Floats, s: Floats) -> tuple[float, Floats]:
    """Value and influence: the means of those of each class."""
    parts = [binary.roc_auc_both(truth, s[:, k]) for k, truth in enumerate(_truths(y, s))]
    return float(np.mean([value for value, _ in parts])), np.asarray(np.mean([psi for _, psi in parts], axis=0))


def _f1(truth: Floats, decided: Floats, w: Floats | None) -> float:
    among = truth + decided
    return binary.share_among(truth * decided, among, w) if among.any() else float("nan")


def _decisions(s: Floats) -> Floats:
    """1 in the column of the most probable class, else 0: (n, classes)."""
    decided = np.zeros_like(s)
    decided[np.arange(len(s)), likeliest(s)] = 1.0
    return decided


def _truths(y: Floats, s: Floats) -> list[Floats]:
    """For each class, 1 where a row is of it, else 0: (n,)."""
    return [np.equal(y, k).astype(np.float64) for k in range(s.shape[1])]


def _over_classes(value: Callable[[Floats, Floats], float], y: Floats, s: Floats) -> float:
    return float(np.mean([value(truth, s[:, k]) for k, truth in enumerate(_truths(y, s))]))


MULTICLASS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        mean("log_loss", "multiclass", "least", log_losses),
        mean("accuracy", "multiclass", "greatest", hits),
        Metric(
            name="macro_f1",
            task="multiclass",
            best="greatest",
            value=macro_f1,
            influence=macro_f1_influence,
            needs_every_class=True,
        ),
        Metric(
            name="macro_auc",
            task="multiclass",
            best="greatest",
            value=macro_auc,
            both=macro_auc_both,
            needs_every_class=True,
        ),
    )
}
"""By their names."""
