"""The level of one look, so that all looks at a test window together keep the product's alpha; and Holm's correction."""

from collections.abc import Sequence
from math import comb
from typing import Protocol

import numpy as np


class BudgetLike(Protocol):
    """The section `gates.budget` of product.yaml."""

    @property
    def alpha(self) -> float:
        """The error rate that all looks at a window share."""

    @property
    def looks(self) -> int:
        """The largest number of looks at a window."""

    @property
    def ships(self) -> int:
        """The largest number of promotions from a window."""


class PooledLike(Protocol):
    """The section `gates.pooled` of product.yaml."""

    @property
    def windows(self) -> int:
        """Over how many windows a candidate may be kept."""

    @property
    def promise(self) -> str:
        """`window` or `pair`."""


class GatesLike(Protocol):
    """The part of `gates` of product.yaml that decides the level."""

    @property
    def budget(self) -> BudgetLike:
        """The part of the budget that decides the level of one look."""

    @property
    def pooled(self) -> PooledLike | None:
        """How long an undecided candidate is kept; None where it isn't."""


def nodes(looks: int, ships: int) -> int:
    """The number of different comparisons that a window can decide, whoever asks, when all that is learned is the verdict.

    Before look t at most ships - 1 of the t - 1 looks were let through (else the window is retired), and what is asked
    depends on nothing but which: sum over t of sum over i < min(ships, t) of C(t - 1, i).
    """
    return sum(comb(t - 1, i) for t in range(1, looks + 1) for i in range(min(ships, t)))


def level(budget: BudgetLike) -> float:
    """The one-sided level of each look: by the union bound over all nodes, alpha holds over the window."""
    return budget.alpha / nodes(budget.looks, budget.ships)


def look_level(gates: GatesLike) -> float:
    """The level of a verdict by these gates: of one look or, where the promise is about a candidate's life, of that shared by all
    the windows over which it may be kept."""
    windows = gates.pooled.windows if gates.pooled and gates.pooled.promise == "pair" else 1
    return level(gates.budget) / windows


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given; NaN stays NaN and counts as a hypothesis."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(np.where(np.isnan(p), np.inf, p), kind="stable")
    steps = np.maximum.accumulate((p.size - np.arange(p.size)) * np.where(np.isnan(p[order]), 0.0, p[order]))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(value) for value in np.where(np.isnan(p), np.nan, adjusted)]
