"""Worlds in which the truth is known, to count what gates let through (tests/gates/test_simulation.py, docs/gates.md).

Belongs here: rows whose days are good or bad together, for every model alike, and histories of commits under a policy. All
randomness comes from a seed. Does not: stored rows (boundary.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ml_assets.core.gates.bounds import ClaimEvidence, shown
from ml_assets.core.gates.levels import level
from ml_assets.core.gates.panel import Panel, panel
from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.intervals import Measured
from ml_assets.core.metrics.spread import Spread
from ml_assets.spec.gates import BudgetSpec

PolicyName = Literal["gates", "point", "recorded", "row_level"]


def binary_days(*, seed: int, days: int, rows: int, slices: int = 1, gap: float = 0.15) -> Panel:
    """`days` x `rows` scored rows. A day's weather moves its labels and how much both models see; `gap` is by how much less of
    the signal the candidate uses (0: an A/A pair, whose models differ by chance alone)."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    weather, clarity = random.normal(0, 0.7, days)[day], np.exp(random.normal(0, 0.3, days))[day]
    signal = random.normal(0, 1, day.size)
    y = (random.random(day.size) < _share(-1.2 + weather + 1.2 * signal)).astype(float)

    def model(power: float) -> Floats:
        level, slope = random.normal(0, 0.4, days)[day], 1 + random.normal(0, 0.25, days)[day]
        return _share(-1.3 + 0.4 * weather + power * slope * clarity * signal + level + random.normal(0, 0.4, day.size))

    scores = {"candidate": model(1.0 - gap), "champion": model(1.0)}
    place = [f"s{number:02}" for number in random.integers(0, slices, day.size)]
    return panel(task="binary", y=y, scores=scores, unit=day, columns={"place": place}, threshold=0.3)


def regression_days(*, seed: int, days: int, rows: int) -> Panel:
    """Delays: a day's storm enlarges the errors of both models, the candidate's a little more."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    storm = np.exp(random.normal(0, 0.3, days))[day]
    y = 10 + 5 * storm * random.normal(0, 1, day.size)
    errors = {"candidate": 2.2, "champion": 2.0}
    scores = {name: y + storm * (random.normal(0, 0.8, days)[day] + random.normal(0, e, day.size)) for name, e in errors.items()}
    return panel(task="regression", y=y, scores=scores, unit=day, columns={})


def _share(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


@dataclass(frozen=True)
class World:
    """The true quality of each commit, relative to the release that serves; and the number of commits for each test window."""

    name: str
    change: Callable[[np.random.Generator], float]
    commits_per_window: int
    commits: int = 50


@dataclass(frozen=True)
class SimulatedPolicy:
    """The rule that promotes: the gates of product.yaml, or one of the usual ways.

    `point`: the estimate is higher on the same rows. `recorded`: it is higher than the champion's when that was released.
    `row_level`: DeLong's test of non-inferiority, rows taken for independent, at alpha per commit.
    """

    name: PolicyName
    margin: float = 0.01
    budget: BudgetSpec = field(default_factory=BudgetSpec)


@dataclass(frozen=True)
class Noise:
    """A window of `units` days. `day`: standard deviation of a model's own day in the metric; `design_effect`: by how much more
    that is than its rows, taken for independent, would tell (variance)."""

    units: int = 30
    day: float = 0.015
    design_effect: float = 10.0


@dataclass(frozen=True)
class History:
    """The results of one sequence of commits. Qualities are true values of the metric, 0 at the start.

    `erosion`: the most by which the release that served was below the best release that was proven until then; `wrong`: commits
    let through that were worse than champion or anchor by the margin or more; `windows` were opened.
    """

    quality: float
    erosion: float
    shipped: int
    wrong: int
    windows: int
    claimed: float


def history(world: World, policy: SimulatedPolicy, noise: Noise, *, seed: int) -> History:
    """Fifty commits, one after the other."""
    random = np.random.default_rng(seed)
    state = _SimulationState(random, noise)
    champion = anchor = _SimulatedModel(0.0)
    best, erosion, claimed = 0.0, 0.0, 0.0
    shipped = wrong = 0
    for commit in range(world.commits):
        if commit % world.commits_per_window == 0:
            state.open()
        candidate = _SimulatedModel(champion.quality + world.change(random))
        if not state.may_look(policy):
            continue
        state.looks += 1
        if not _lets_through(state, policy, candidate, champion, anchor):
            continue
        shipped, state.ships = shipped + 1, state.ships + 1
        wrong += candidate.quality <= max(champion.quality, anchor.quality) - policy.margin
        candidate.recorded = state.estimate(candidate)
        claimed = candidate.recorded
        if policy.name != "gates" or state.test(candidate, anchor, 0.0).p_proof <= level(policy.budget):
            anchor = candidate
        # the best is what the gates proved; the usual ways prove nothing, so it is the best that ever served
        best = max(best, anchor.quality)
        champion = candidate
        erosion = max(erosion, best - champion.quality)
    return History(champion.quality, erosion, shipped, wrong, state.windows, claimed)


@dataclass(eq=False)
class _SimulatedModel:
    quality: float
    recorded: float = 0.0
    days: dict[int, Floats] = field(default_factory=dict)


@dataclass(eq=False)
class _SimulationState:
    """The window that is open, and what every model does on its days."""

    random: np.random.Generator
    noise: Noise
    windows: int = 0
    looks: int = 0
    ships: int = 0
    shared: Floats = field(default_factory=lambda: np.zeros(0))

    def open(self) -> None:
        self.windows, self.looks, self.ships = self.windows + 1, 0, 0
        self.shared = self.random.normal(0, 3 * self.noise.day, self.noise.units)

    def may_look(self, policy: SimulatedPolicy) -> bool:
        return policy.name != "gates" or (self.looks < policy.budget.looks and self.ships < policy.budget.ships)

    def days(self, model: _SimulatedModel) -> Floats:
        """A model's value on each day of the window, the same whenever it is asked."""
        if self.windows not in model.days:
            own = self.random.normal(0, self.noise.day, self.noise.units)
            model.days = {self.windows: model.quality + self.shared + own}
        return model.days[self.windows]

    def estimate(self, model: _SimulatedModel) -> float:
        return float(self.days(model).mean())

    def test(self, one: _SimulatedModel, other: _SimulatedModel, constant: float) -> ClaimEvidence:
        """The gates' own test of `one - other > constant`, from the sums per day."""
        difference = self.days(one) - self.days(other)
        return shown(of_days(difference), constant=constant, sign=">", is_certain=one is other)


def of_days(values: Floats, sizes: Floats | None = None) -> Measured:
    """The mean over days that follow each other, (G,); `sizes`: the number of rows of each."""
    sizes = np.ones(values.size) if sizes is None else sizes
    shares = sizes / sizes.sum()
    mean = float(values @ shares)
    return Measured(value=mean, parts=shares * (values - mean), shares=shares, is_ordered=True, rows=values.size)


def _lets_through(
    state: _SimulationState,
    policy: SimulatedPolicy,
    candidate: _SimulatedModel,
    champion: _SimulatedModel,
    anchor: _SimulatedModel,
) -> bool:
    match policy.name:
        case "point":
            return state.estimate(candidate) > state.estimate(champion)
        case "recorded":
            return state.estimate(candidate) > champion.recorded
        case "row_level":
            test = state.test(candidate, champion, -policy.margin)
            # rows taken for independent: the error that remains when days are not what varies
            error = state.noise.day * np.sqrt(2 / state.noise.units / state.noise.design_effect)
            spread = Spread(standard_error=float(error), units=100_000, freedom=99_999)
            return ClaimEvidence(test.value, spread, -policy.margin, ">").p_proof <= policy.budget.alpha
    at = level(policy.budget)
    return all(state.test(candidate, other, -policy.margin).p_proof <= at for other in (champion, anchor))


@dataclass(frozen=True)
class Histories:
    """Many histories of one world under one policy: shares are of histories, qualities are means."""

    world: str
    policy: PolicyName
    count: int
    eroded: int
    wrong: int
    windows: int
    shipped: float
    quality: float
    claimed: float
    quality_5: float


def histories(world: World, policy: SimulatedPolicy, noise: Noise, *, count: int, seed: int) -> Histories:
    """`eroded`: histories that were ever more than the margin below the best proven release; `wrong`: with a wrong promotion."""
    runs = [history(world, policy, noise, seed=seed + number) for number in range(count)]
    qualities = np.array([run.quality for run in runs])
    return Histories(
        world=world.name,
        policy=policy.name,
        count=count,
        eroded=sum(run.erosion > policy.margin + 1e-12 for run in runs),
        wrong=sum(run.wrong > 0 for run in runs),
        windows=runs[0].windows,
        shipped=float(np.mean([run.shipped for run in runs])),
        quality=float(qualities.mean()),
        claimed=float(np.mean([run.claimed for run in runs])),
        quality_5=float(np.quantile(qualities, 0.05)),
    )


WORLDS = (
    World("nothing improves", lambda random: 0.0, commits_per_window=5),
    World("each 0.003 worse", lambda random: -0.003, commits_per_window=5),
    World("mixed", lambda random: float(random.choice([0.01, 0.0, -0.003, -0.02], p=[0.2, 0.3, 0.3, 0.2])), commits_per_window=5),
    World("one window", lambda random: float(random.choice([0.0, -0.003, -0.012])), commits_per_window=50),
)
POLICIES: tuple[PolicyName, ...] = ("gates", "point", "recorded", "row_level")
