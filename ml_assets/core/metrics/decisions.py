"""Metrics of decisions, by the threshold from which a score is a yes; and what decisions or errors are worth."""

from collections.abc import Callable
from math import nan
from typing import Literal

import numpy as np

from ml_assets.core.metrics import binary, regression
from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.metric import Best, Metric, mean
from ml_assets.core.metrics.score_columns import likeliest
from ml_assets.spec.monitoring import ValueSpec


def accuracy_at(threshold: float) -> Metric:
    """The share of rows that land on the right side of the threshold (at it counts as positive)."""
    return mean("accuracy", "binary", "greatest", lambda y, s: np.equal(s >= threshold, y == 1).astype(float))


def selection_rate_at(threshold: float) -> Metric:
    """The share of rows that are decided positive. Neither more nor less of it is better: it is compared between groups."""
    return mean("selection_rate", "binary", "neither", lambda y, s: (s >= threshold).astype(float))


def tpr_at(threshold: float) -> Metric:
    """The true positive rate, or recall: the share of actual positives that are decided positive."""
    return _rate_at("tpr", threshold, best="greatest", among="positives")


def fpr_at(threshold: float) -> Metric:
    """The false positive rate: the share of actual negatives that are decided positive."""
    return _rate_at("fpr", threshold, best="least", among="negatives")


def precision_at(threshold: float) -> Metric:
    """The share of rows decided positive that are positive; undefined where none is decided positive."""
    return _share_at("precision", threshold, lambda y, decided: (y, decided))


def f1_at(threshold: float) -> Metric:
    """The harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); undefined where nothing is or is decided positive."""
    return _share_at("f1", threshold, lambda y, decided: (y * decided, y + decided))


def mcc_at(threshold: float) -> Metric:
    """Matthews' correlation of label and decision; undefined where all labels or all decisions are the same."""

    def value(y: Floats, s: Floats, w: Floats | None) -> float:
        if np.ptp(y) == 0 or np.ptp(decided := _decided(s, threshold)) == 0:
            return nan
        (variance, covariance), (_, other) = np.cov(y, decided, aweights=w, ddof=0)
        return float(covariance / np.sqrt(variance * other))

    def influence(y: Floats, s: Floats) -> Floats:
        one, other = ((values - values.mean()) / values.std() for values in (y, _decided(s, threshold)))
        return np.asarray((one * other - value(y, s, None) * (one**2 + other**2) / 2) / y.size)

    return Metric(name="mcc", task="binary", best="greatest", value=value, influence=influence, is_reported=False)


def value_of(worth: ValueSpec, threshold: float) -> Metric:
    """The mean worth of a row: of the cell of the confusion matrix that it is in, or of its absolute error. Of several
    classes the decision is the most probable one."""
    if worth.matrix:
        by_class = np.array(worth.matrix, dtype=float)
        return mean("value", "multiclass", "greatest", lambda y, s: np.asarray(by_class[y.astype(int), likeliest(s)]))
    if worth.error is not None:
        cost = worth.error
        return mean("value", "regression", "greatest", lambda y, s: cost * regression.absolute_losses(y, s))
    cells = np.array([[worth.true_negative, worth.false_positive], [worth.false_negative, worth.true_positive]], dtype=float)

    def worths(y: Floats, s: Floats) -> Floats:
        return np.asarray(cells[y.astype(int), (s >= threshold).astype(int)])

    return mean("value", "binary", "greatest", worths)


def _rate_at(name: str, threshold: float, *, best: Best, among: Literal["positives", "negatives"]) -> Metric:
    def rows(y: Floats) -> Floats:
        return y if among == "positives" else 1 - y

    return Metric(
        name=name,
        task="binary",
        best=best,
        value=lambda y, s, w: binary.share_among((s >= threshold).astype(float), rows(y), w),
        influence=lambda y, s: binary.share_among_influence((s >= threshold).astype(float), rows(y)),
        needs=among,
    )


def _share_at(name: str, threshold: float, counted: Callable[[Floats, Floats], tuple[Floats, Floats]]) -> Metric:
    """The mean of what is `counted` by label and decision, by a weight that depends on them too."""

    def value(y: Floats, s: Floats, w: Floats | None) -> float:
        values, among = counted(y, _decided(s, threshold))
        return binary.share_among(values, among, w) if among.any() else nan

    return Metric(
        name=name,
        task="binary",
        best="greatest",
        value=value,
        influence=lambda y, s: binary.share_among_influence(*counted(y, _decided(s, threshold))),
        is_reported=False,
    )


def _decided(s: Floats, threshold: float) -> Floats:
    return (s >= threshold).astype(np.float64)


AT_THRESHOLD: dict[str, Callable[[float], Metric]] = {
    "accuracy": accuracy_at,
    "selection_rate": selection_rate_at,
    "tpr": tpr_at,
    "fpr": fpr_at,
    "precision": precision_at,
    "f1": f1_at,
    "mcc": mcc_at,
}
"""By their names."""
