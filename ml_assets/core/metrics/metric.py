"""The definition of a metric: a number about labels and scores, with the influence of each row on it. The list is in
registry.py."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ml_assets.core.metrics import binary
from ml_assets.core.metrics.arrays import Floats, Ints, Task
from ml_assets.spec.claim_limits import RANGES

Best: TypeAlias = Literal["greatest", "least", "nearest_zero", "neither"]
Losses: TypeAlias = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number about y and s, with the influence of each row on it: by itself, or in `both` with the value, where that is
    quicker. A value that is NaN is undefined on these rows. `bias`: what chance adds to the value, from the rows with the code of
    their unit; it is taken off where the metric is measured. `losses`: of a metric that is a mean over rows, what each row
    contributes."""

    name: str
    task: Task
    best: Best
    value: Callable[[Floats, Floats, Floats | None], float]
    influence: Losses | None = None
    both: Callable[[Floats, Floats], tuple[float, Floats]] | None = None
    bias: Callable[[Floats, Floats, Ints], float] | None = None
    needs_both_classes: bool = False
    needs_every_class: bool = False
    needs: Literal["", "positives", "negatives"] = ""
    is_reported: bool = True
    losses: Losses | None = None

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest value that it can have."""
        return RANGES[self.name]

    @property
    def greater_is_better(self) -> bool:
        """Whether a larger value is better."""
        return self.best == "greatest"

    def advantage(self, candidate: float, champion: float) -> float:
        """By how much the candidate is better; negative when it is worse, NaN when either is NaN or nothing is better."""
        if self.best == "greatest":
            return candidate - champion
        if self.best == "least":
            return champion - candidate
        if self.best == "neither":
            return float("nan")
        return abs(champion) - abs(candidate)


def mean(name: str, task: Task, best: Best, losses: Losses, *, is_reported: bool = True) -> Metric:
    """The metric that is the mean over rows of `losses`."""
    return Metric(
        name=name,
        task=task,
        best=best,
        value=lambda y, s, w: binary.mean_loss(losses(y, s), w),
        influence=lambda y, s: binary.mean_influence(losses(y, s)),
        is_reported=is_reported,
        losses=losses,
    )
