"""How far probabilities are from what happens: the calibration term of the Brier score without its bias, and Cox's slope.

The mean gap and the calibration error, which is for reports, are in binary.py.
"""

import numpy as np
from scipy.special import expit, logit

from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.metrics.binary import BINS, equal_mass_bins

_EDGE = 1e-9
_STEPS, _CLOSE = 50, 1e-10


def calibration_loss(y: Floats, s: Floats, w: Floats | None = None) -> float:
    """Murphy's (1973, J. Appl. Meteorol. 12) calibration term: the mean over rows of the squared gap between observed and
    predicted in ten bins of equal mass. `calibration_bias` is what chance adds to it."""
    w = np.ones_like(s) if w is None else w
    mass, gaps = _by_bin(equal_mass_bins(s), w, y - s)
    return float(np.sum(mass * gaps**2) / mass.sum())


def calibration_loss_influence(y: Floats, s: Floats) -> Floats:
    """The influence psi = (2 gap_k (y - s) - gap_k^2 - loss) / n, with k the bin of a row, and the bins of the sample."""
    bins, wrong = equal_mass_bins(s), y - s
    _, gaps = _by_bin(bins, np.ones_like(s), wrong)
    psi = 2 * gaps[bins] * wrong - gaps[bins] ** 2
    return np.asarray((psi - psi.mean()) / s.size)


def calibration_bias(y: Floats, s: Floats, codes: Ints) -> float:
    """The expectation of the calibration term of a model without any gap: the variance of each bin's gap, from the sums of its
    units (`codes`), as Bröcker (2012, Clim. Dyn. 39) takes it from rows. Bins of one unit tell none."""
    bins, units = equal_mass_bins(s), int(codes.max()) + 1
    mass, gaps = _by_bin(bins, np.ones_like(s), y - s)
    cells, shape = bins * units + codes, (BINS, units)
    sums = np.bincount(cells, weights=y - s - gaps[bins], minlength=BINS * units).reshape(shape)
    units_in_bin = (np.bincount(cells, minlength=BINS * units).reshape(shape) > 0).sum(axis=1)
    known = units_in_bin > 1
    variances = (sums[known] ** 2).sum(axis=1) * units_in_bin[known] / (units_in_bin[known] - 1)
    return float(np.sum(variances / mass[known]) / s.size)


def calibration_slope(y: Floats, s: Floats, w: Floats | None = None) -> float:
    """Cox's (1958, Biometrika 45) slope: that of a logistic regression of what happened on the log-odds of the scores. 1 where
    these are neither too far apart (below 1) nor too close together (above). NaN where rows don't tell it."""
    fit = _cox(y, s, np.ones_like(s) if w is None else w)
    return float("nan") if fit is None else float(fit[0][1])


def calibration_slope_influence(y: Floats, s: Floats) -> Floats:
    """The influence psi = (H^-1 x (y - p))_slope, H the information of the regression; NaN where there is no slope."""
    fit = _cox(y, s, np.ones_like(s))
    if fit is None:
        return np.full(s.size, np.nan)
    coefficients, information, x = fit
    score = x * (y - expit(x @ coefficients))[:, None]
    return np.asarray(np.linalg.solve(information, score.T)[1])


def _by_bin(bins: Ints, w: Floats, wrong: Floats) -> tuple[Floats, Floats]:
    """Mass and mean gap of each bin: (10,) each; no gap where a bin is empty."""
    mass = np.bincount(bins, weights=w, minlength=BINS).astype(np.float64)
    sums = np.bincount(bins, weights=w * wrong, minlength=BINS)
    return mass, np.divide(sums, mass, out=np.zeros(BINS), where=mass > 0)


def _cox(y: Floats, s: Floats, w: Floats) -> tuple[Floats, Floats, Floats] | None:
    """Coefficients (2,), information (2, 2) and design (n, 2), by Newton's method; None where it does not converge: scores are
    all alike, or separate the classes."""
    x = np.column_stack([np.ones_like(s), logit(np.clip(s, _EDGE, 1 - _EDGE))])
    if np.ptp(x[:, 1]) == 0 or y.min() == y.max():
        return None
    coefficients = np.array([0.0, 1.0])
    for _ in range(_STEPS):
        p = expit(x @ coefficients)
        information = (x * (w * p * (1 - p))[:, None]).T @ x
        if np.linalg.cond(information) > 1 / _EDGE:
            return None
        step = np.linalg.solve(information, x.T @ (w * (y - p)))
        coefficients = coefficients + step
        if np.abs(step).max() < _CLOSE:
            return coefficients, information, x
    return None
