"""Binary metrics: value and influence function.

`y` is 0 or 1, `s` a probability, `w` a weight per row. Influence functions include the 1/n:
theta_hat - theta ~ sum psi, and sum psi = 0 in the sample. Sources are named in each docstring.
"""

import numpy as np

from ml_assets.core.metrics.arrays import Floats, Ints

BINS = 10


def mean_loss(losses: Floats, w: Floats | None) -> float:
    """The (weighted) mean of a loss per row."""
    return float(np.average(losses, weights=w))


def mean_influence(losses: Floats) -> Floats:
    """The influence function of a mean: psi = (loss - mean) / n, (n,)."""
    return np.asarray((losses - losses.mean()) / losses.size)


def share_among(values: Floats, among: Floats, w: Floats | None = None) -> float:
    """The (weighted) mean of `values`, a row counting as often as `among` says."""
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


def average_precision_both(y: Floats, s: Floats) -> tuple[float, Floats]:
    """Value and influence: the derivative of the area in the weight of a row, through the precision at its own score and at
    each score of a positive below it.

    With the weights of hits and rows down to a score (H, N), P positives and area A = sum_i y_i H_i / (N_i P):
    psi_j = (y_j (H_j / N_j - A) + sum over scores of positives <= s_j of hits (y_j - H_i / N_i) / N_i) / P.
    """
    order, last = _descending(s)
    run = np.repeat(np.arange(last.size), np.diff(last, prepend=-1))
    hits, rows = np.cumsum(y[order])[last], last + 1.0
    here, precision, positives = np.diff(hits, prepend=0.0), hits / rows, hits[-1]
    area = float(here @ precision / positives)
    gained, lost = (_from_here_down(here * weights / rows) for weights in (np.ones(last.size), precision))
    influence = np.empty(y.size)
    own = y[order]
    influence[order] = (own * (precision[run] - area) + own * gained[run] - lost[run]) / positives
    return area, influence


def _from_here_down(values: Floats) -> Floats:
    """The sum of each value and all after it."""
    return np.asarray(np.cumsum(values[::-1])[::-1])


def _descending(s: Floats) -> tuple[Ints, Ints]:
    """The order from the highest score down, and the last position of each run of equal scores."""
    order = np.argsort(-s, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(s[order])), s.size - 1)


def calibration_error(y: Floats, s: Floats, w: Floats | None = None) -> float:
    """Expected calibration error: mean |observed - predicted| over ten bins of equal mass."""
    w = np.ones_like(s) if w is None else w
    gaps = np.bincount(equal_mass_bins(s), weights=w * (y - s), minlength=BINS)
    return float(np.abs(gaps).sum() / w.sum())


def calibration_error_influence(y: Floats, s: Floats) -> Floats:
    """The influence function, with the bins of the sample: psi = (sign of the bin's gap * (y - s) - error) / n, (n,)."""
    bins, gaps = equal_mass_bins(s), y - s
    signs = np.sign(np.bincount(bins, weights=gaps, minlength=BINS))
    return mean_influence(signs[bins] * gaps)


def equal_mass_bins(s: Floats) -> Ints:
    """The bin (0 to 9) of each score; equal scores share a bin."""
    edges = np.quantile(s, np.arange(1, BINS) / BINS)
    return np.searchsorted(edges, s, side="left").astype(np.int64)
