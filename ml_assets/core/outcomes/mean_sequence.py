"""A confidence sequence for a mean of units that come in over time: it holds at every look at once.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
asymptotic confidence sequences", Annals of Statistics 52 (2024), Theorem 2.2: units count as independent, their spread is
estimated, and the level is approached as their number grows. It is tightest about `expected` units.
"""

from dataclasses import dataclass
from math import inf, log, sqrt

from ml_assets.errors import MlAssetsError


class SequenceRefused(MlAssetsError):
    """A level or number of units by which nothing can be bounded."""


@dataclass(frozen=True)
class Sums:
    """The sums of the units seen so far, from which bounds follow: their number, their sum and the sum of their squares."""

    units: int = 0
    total: float = 0.0
    squares: float = 0.0

    def plus(self, other: "Sums") -> "Sums":
        """Those of both together."""
        return Sums(self.units + other.units, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """Of the units; 0 without any."""
        return self.total / self.units if self.units else 0.0

    @property
    def variance(self) -> float:
        """Of the units, as far as two of them tell."""
        if self.units < 2:
            return inf
        return max(self.squares - self.units * self.mean**2, 0.0) / (self.units - 1)


def interval(sums: Sums, *, alpha: float, expected: int) -> tuple[float, float]:
    """Bounds on the mean that are both right at all looks with probability 1 - alpha, as the units grow in number."""
    if not 0 < alpha < 1 or expected < 1:
        raise SequenceRefused(f"alpha {alpha:g} has to lie between 0 and 1, and {expected} expected units have to be at least 1")
    if sums.units < 2:
        return -inf, inf
    rho = (-2 * log(alpha) + log(-2 * log(alpha)) + 1) / expected
    grown = sums.units * rho + 1
    reach = sqrt(2 * sums.variance * grown / (sums.units**2 * rho) * log(sqrt(grown) / alpha))
    return sums.mean - reach, sums.mean + reach
