"""Binary metrics: value, influence function, or values in weighted resamples.

`y` is 0 or 1, `s` a probability, `w` a weight per row. Influence functions include the 1/n:
theta_hat - theta ~ sum psi, and sum psi = 0 in the sample. Sources are named in each docstring.
"""

from typing import Any

import numpy as np

from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.metrics.intervals import Units

BINS = 10
_CELLS = 2_000_000  # of a table worked on at once: bounds the memory


def mean_loss(losses: Floats, w: Floats | None) -> float:
    """The (weighted) mean of a loss per row."""
    return float(np.average(losses, weights=w))


def mean_influence(losses: Floats) -> Floats:
    """psi = (loss - mean) / n: the influence function of a mean."""
    return np.asarray((losses - losses.mean()) / losses.size)


def share_among(values: Floats, among: Floats, w: Floats | None = None) -> float:
    """The (weighted) mean of `values` over the rows where `among` is 1."""
    mass = among if w is None else among * w
    return float(np.sum(values * mass) / np.sum(mass))


def share_among_influence(values: Floats, among: Floats) -> Floats:
    """Delta method on a ratio of sums: psi = among * (value - share) / sum of among."""
    return np.asarray(among * (values - share_among(values, among)) / among.sum())


def log_losses(y: Floats, s: Floats) -> Floats:
    """-log of the probability given to what happened, kept away from log(0)."""
    eps = np.finfo(np.float64).eps
    p = np.clip(s, eps, 1 - eps)
    return -(y * np.log(p) + (1 - y) * np.log1p(-p))


def squared_losses(y: Floats, s: Floats) -> Floats:
    """The squared error of the probability: its mean is the Brier score."""
    return (y - s) ** 2


def roc_auc(y: Floats, s: Floats, w: Floats | None = None) -> float:
    """P(score of a positive > score of a negative), ties counted half."""
    w = np.ones_like(s) if w is None else w
    below, equal = _Ranks(s).mass(w * (1 - y))
    positive = w * y
    return float(np.sum(positive * (below + equal / 2)) / (positive.sum() * (w * (1 - y)).sum()))


def roc_auc_influence(y: Floats, s: Floats) -> Floats:
    """Placements of DeLong, DeLong & Clarke-Pearson (1988): psi = (V10 - A)/m, (V01 - A)/n."""
    return roc_auc_both(y, s)[1]


def roc_auc_both(y: Floats, s: Floats) -> tuple[float, Floats]:
    """Value and influence from one sort."""
    ranks, positives, negatives = _Ranks(s), y.sum(), (1 - y).sum()
    below, equal = ranks.mass(1 - y)
    share_beaten = (below + equal / 2) / negatives
    below, equal = ranks.mass(y)
    share_beating = 1 - (below + equal / 2) / positives
    auc = np.sum(y * share_beaten) / positives
    return float(auc), np.where(y == 1, (share_beaten - auc) / positives, (share_beating - auc) / negatives)


class _Ranks:
    """Scores in their order, once for as many weights as are asked."""

    def __init__(self, s: Floats) -> None:
        self.order = np.argsort(s, kind="stable")
        is_new = np.diff(s[self.order], prepend=-np.inf) > 0
        self.starts = np.flatnonzero(is_new)
        self.run = np.empty(s.size, dtype=np.int64)
        self.run[self.order] = np.cumsum(is_new) - 1

    def mass(self, w: Floats) -> tuple[Floats, Floats]:
        """The weight of the scores strictly below that of each row, and equal to it."""
        before = np.concatenate([[0.0], np.cumsum(w[self.order])])[np.append(self.starts, w.size)]
        return before[self.run], np.diff(before)[self.run]


def average_precision(y: Floats, s: Floats, w: Floats | None = None) -> float:
    """Area under the precision-recall steps: sum of (recall step) * precision, as scikit-learn has it."""
    w = np.ones_like(s) if w is None else w
    order, last = _descending(s)
    hits = np.cumsum((w * y)[order])[last]
    rows = np.cumsum(w[order])[last]
    return float(np.sum(np.diff(hits, prepend=0.0) * hits / np.where(rows > 0, rows, 1)) / hits[-1])


def average_precision_resamples(y: Floats, s: Floats, units: Units) -> Floats:
    """Average precision in each resample of whole units: one sort, then weights of units times how many rows each has so far.

    Precision is read only at thresholds that some positive has, so the rows between two of them are one segment.
    """
    order, last = _descending(s)
    codes, is_positive = units.codes[order], y[order] > 0
    ends = np.unique(last[np.searchsorted(last, np.flatnonzero(is_positive))])
    starts = np.append(0, ends[:-1] + 1)
    # whole numbers below 2^24 are exact in float32, and no sum of draws comes near three times the rows
    weights: Any = units.weights.T.astype(np.float32 if y.size < 2**22 else np.float64)
    block = max(1, _CELLS // units.count)
    before: Any = np.zeros((2, units.count), dtype=weights.dtype)
    rows_before, hits_before = before
    area, hits_last = np.zeros(weights.shape[1]), 0 * weights[0]
    for first in range(0, ends.size, block):
        edges, row = starts[first : first + block], slice(starts[first], ends[min(first + block, ends.size) - 1] + 1)
        segment = np.repeat(np.arange(edges.size), np.diff(np.append(edges, row.stop)))
        among = is_positive[row]
        rows_so_far = _counted(segment, codes[row], edges.size, rows_before)
        hits_so_far = _counted(segment[among], codes[row][among], edges.size, hits_before)
        hits = hits_so_far @ weights
        steps = np.diff(hits, axis=0, prepend=hits_last[None])
        area += np.einsum("ij,ij->j", steps, hits / np.maximum(rows_so_far @ weights, 1), dtype=np.float64)
        rows_before, hits_before, hits_last = rows_so_far[-1], hits_so_far[-1], hits[-1]
    with np.errstate(invalid="ignore"):  # a resample without positives has no precision: NaN
        return np.asarray(area / hits_last)


def _counted(segment: Ints, codes: Ints, segments: int, before: Floats) -> Floats:
    """How many rows each unit has up to the end of each segment: (segments, units)."""
    cells = np.bincount(segment * before.size + codes, minlength=segments * before.size).reshape(segments, before.size)
    return np.asarray(np.cumsum(cells, axis=0, dtype=before.dtype) + before)


def _descending(s: Floats) -> tuple[Ints, Ints]:
    """The order from the highest score down, and the last position of each run of equal scores."""
    order = np.argsort(-s, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(s[order])), s.size - 1)


def calibration_error(y: Floats, s: Floats, w: Floats | None = None) -> float:
    """Expected calibration error: mean |observed - predicted| over ten bins of equal mass."""
    w = np.ones_like(s) if w is None else w
    gaps = np.bincount(equal_mass_bins(s), weights=w * (y - s), minlength=BINS)
    return float(np.abs(gaps).sum() / w.sum())


def calibration_error_resamples(y: Floats, s: Floats, units: Units) -> Floats:
    """The error in each resample, with the bins of the sample: gaps are summed per unit once."""
    cells = units.codes * BINS + equal_mass_bins(s)
    gaps = np.bincount(cells, weights=y - s, minlength=units.count * BINS).reshape(units.count, BINS)
    sizes = np.bincount(units.codes, minlength=units.count)
    return np.asarray(np.abs(units.weights @ gaps).sum(axis=1) / (units.weights @ sizes))


def equal_mass_bins(s: Floats) -> Ints:
    """The bin (0 to 9) of each score; equal scores share a bin."""
    edges = np.quantile(s, np.arange(1, BINS) / BINS)
    return np.searchsorted(edges, s, side="left").astype(np.int64)
