"""Confidence sequences: bounds on a mean that hold at every moment at once, so that one may look as often as one likes.

The bounds are those of testing by betting: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting",
JRSS B 86 (2024), section 4, with the predictable plug-in bets of its eq. 26 and Ville's inequality (Theorem 1). Assumed is that
each unit's value lies within the bound and that its expectation, given the units before it, is the mean asked about. Rows of one
unit may depend on each other in any way: they enter as their mean. Pure; who is compared with whom does not belong here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ml_assets.errors import MlAssetsError

Values = np.ndarray[Any, np.dtype[np.float64]]

_MOST_STAKED = 0.75
"""Share of the capital that one unit can lose at most (c of the paper, which names 1/2 and 3/4)."""
_STEPS = 50


class SequenceError(MlAssetsError):
    """Values of which no bound can be computed."""


@dataclass(frozen=True)
class Bounds:
    """Of the mean of what was seen. At level alpha, `lower` is above the mean ever with probability at most alpha, and so is
    `upper` below it: two statements, each with an alpha of its own."""

    units: int
    mean: float
    lower: float
    upper: float


def by_unit(differences: Values, units: pl.Series) -> Values:
    """The mean difference of each unit, in the units' order."""
    if len(differences) != len(units):
        raise SequenceError(f"{len(differences)} differences, {len(units)} units")
    frame = pl.DataFrame({"difference": differences, "unit": units})
    return frame.group_by("unit").agg(pl.col("difference").mean()).sort("unit")["difference"].to_numpy()


def bounds(values: Values, *, bound: float, alpha: float) -> Bounds:
    """Bounds on the mean of the units' values, oldest first, each cut to at most `bound` away from 0.

    Looking again after further units takes nothing back: the lower bound never falls, the upper never rises.
    """
    scaled = _scaled(values, bound=bound)
    if not len(scaled):
        return Bounds(0, 0.0, -bound, bound)
    low, high = _lower(scaled, alpha), 1 - _lower(1 - scaled, alpha)
    return Bounds(len(scaled), float(scaled.mean() * 2 - 1) * bound, (2 * low - 1) * bound, (2 * high - 1) * bound)


def evidence_above(values: Values, *, limit: float, bound: float, alpha: float) -> Values:
    """Evidence after each unit (along the last axis) that the mean is above `limit`: where it is not, this reaches 1 / alpha
    at any time with probability at most alpha."""
    m = np.float64((limit / bound + 1) / 2)
    if not 0 < m < 1:
        raise SequenceError(f"limit {limit:g} has to lie within the bound of {bound:g}")
    scaled = _scaled(values, bound=bound)
    evidence: Values = np.exp(_log_capital(scaled, _bets(scaled, alpha), m))
    return evidence


def _scaled(values: Values, *, bound: float) -> Values:
    if not (np.isfinite(bound) and bound > 0):
        raise SequenceError(f"the bound has to be a positive number, not {bound}")
    if not np.isfinite(values).all():
        raise SequenceError("a unit's value is missing or infinite: nothing follows from it")
    scaled: Values = (np.clip(values, -bound, bound) / bound + 1) / 2
    return scaled


def _lower(scaled: Values, alpha: float) -> float:
    """The smallest mean in [0, 1] that the evidence never refuted; the capital falls as the mean that is bet against grows."""
    bets, needed = _bets(scaled, alpha), np.log(1 / alpha)
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        is_refuted = _log_capital(scaled, bets, np.float64(middle)).max() >= needed
        low, high = (middle, high) if is_refuted else (low, middle)
    return low


def _bets(scaled: Values, alpha: float) -> Values:
    """The stake on each unit, from the units before it alone: (units,)."""
    number = np.arange(1, scaled.shape[-1] + 1)
    means = (0.5 + np.cumsum(scaled, axis=-1)) / (number + 1)
    variances = (0.25 + np.cumsum((scaled - means) ** 2, axis=-1)) / (number + 1)
    before = np.concatenate([np.full_like(variances[..., :1], 0.25), variances[..., :-1]], axis=-1)
    bets: Values = np.sqrt(2 * np.log(1 / alpha) / (before * number * np.log1p(number)))
    return bets


def _log_capital(scaled: Values, bets: Values, m: np.float64) -> Values:
    """After each unit the log of the capital of who starts with 1 and bets that the mean is above m."""
    staked = np.minimum(bets, _MOST_STAKED / m)
    capital: Values = np.cumsum(np.log1p(staked * (scaled - m)), axis=-1)
    return capital
