"""Worlds of which only the units are simulated, a window in one line of numbers: what share of claims that just fail to hold is
let through, and of improvements that are real. docs/gates.md has the table.

Belongs here: units whose mean is known. Does not: rows and models (simulation.py), stored rows (boundary.py).
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from benchmarks.simulations.gate_policies import of_days
from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.intervals import Measured
from ml_assets.core.metrics.spread import Spread, WindowSums

Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]
REFERENCE_UNITS, IMPROVEMENT = 30, 3.34
"""Power is counted at an improvement of this many true standard errors, with this many units."""
STORM = 1 / 30


def _equal(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return np.ones(shape)


@dataclass(frozen=True)
class UnitWorld:
    """`values` draws the advantage of each unit, (windows, units) of mean 0, and `sizes` its number of rows. `is_kept`: the level
    is kept in it, as far as docs/gates.md says; no method that was tried keeps it in the others."""

    values: Draw
    sizes: Draw = _equal
    is_kept: bool = True


def _ar(random: np.random.Generator, shape: tuple[int, int], rho: float) -> Floats:
    """AR(1) of variance 1, stationary from the first unit on."""
    noise = random.standard_normal(shape)
    noise[:, 1:] *= np.sqrt(1 - rho * rho)
    return np.asarray(lfilter([1.0], [1.0, -rho], noise, axis=1))


def _ar_world(rho: float) -> UnitWorld:
    return UnitWorld(lambda r, n: _ar(r, n, rho), lambda r, n: np.maximum(0.5, 1 + 0.1 * r.standard_normal(n)))


def _lognormal(scale: float) -> Draw:
    return lambda random, shape: np.exp(scale * random.standard_normal(shape))


WORLDS: Mapping[str, UnitWorld] = {
    "normal": UnitWorld(lambda r, n: r.standard_normal(n)),
    "t3": UnitWorld(lambda r, n: r.standard_t(3, n)),
    "exp losses": UnitWorld(lambda r, n: 1 - r.exponential(1, n)),
    "exp gains": UnitWorld(lambda r, n: r.exponential(1, n) - 1),
    "lognormal(1) losses": UnitWorld(lambda r, n: np.exp(0.5) - np.exp(r.standard_normal(n))),
    **{f"AR {rho}": _ar_world(rho) for rho in (0.2, 0.3, 0.4, 0.5)},
    "AR + lognormal(.8) losses": UnitWorld(lambda r, n: np.exp(0.32) - np.exp(0.8 * _ar(r, n, 0.4))),
    "sizes lognormal(1)": UnitWorld(lambda r, n: r.standard_normal(n), _lognormal(1.0)),
    "AR .3, sizes lognormal(.5)": UnitWorld(lambda r, n: _ar(r, n, 0.3), _lognormal(0.5)),
    "storm 1/30": UnitWorld(lambda r, n: STORM - (r.random(n) < STORM) + 0.1 * r.standard_normal(n)),
    "slow: .8 AR .1 + .2 AR .9": UnitWorld(
        lambda r, n: np.sqrt(0.8) * _ar(r, n, 0.1) + np.sqrt(0.2) * _ar(r, n, 0.9), is_kept=False
    ),
    "window offset sd .3": UnitWorld(lambda r, n: r.standard_normal(n) + 0.3 * r.standard_normal((n[0], 1)), is_kept=False),
}


def let_through(
    world: UnitWorld, *, units: int, past: int, levels: tuple[float, ...], windows: int, seed: int, improvement: float = 0.0
) -> list[float]:
    """The share of windows that prove an advantage over 0 where the truth is `improvement`, at each level. Each window learns
    from the `past` ones before it."""
    random = np.random.default_rng(seed)
    values, sizes = (draw(random, (windows + past, units)) for draw in (world.values, world.sizes))
    before: deque[WindowSums] = deque(maxlen=past)
    p_values = []
    for number in range(windows + past):
        measured = of_days(values[number], sizes[number])
        spread: Spread = measured.spread(tuple(before))
        if number >= past:
            p_values.append(spread.p(measured.value + improvement, sign=1))
        if spread.sums is not None:
            before.append(spread.sums)
    return [float(np.mean(np.array(p_values) <= level)) for level in levels]


def improvement_of(world: UnitWorld, *, windows: int = 20_000, seed: int = 0) -> float:
    """An improvement of 3.34 true standard errors of 30 units."""
    random = np.random.default_rng(seed)
    values, sizes = (draw(random, (windows, REFERENCE_UNITS)) for draw in (world.values, world.sizes))
    return IMPROVEMENT * float(np.std(np.sum(values * sizes, axis=1) / sizes.sum(axis=1)))


def let_through_within(
    world: UnitWorld, *, units: int, past: int, level: float, most: int, histories: int, seed: int, improvement: float = 0.0
) -> list[float]:
    """The share of histories in which a candidate that is kept is let through within 1, 2, … `most` windows, each time on all of
    them so far pooled, where the truth is `improvement`. Each learns from the `past` windows before its first."""
    random = np.random.default_rng(seed)
    passed = np.zeros((histories, most), dtype=bool)
    for history in range(histories):
        values, sizes = (draw(random, (past + most, units)) for draw in (world.values, world.sizes))
        measured = [of_days(*day_values) for day_values in zip(values, sizes, strict=True)]
        sums = [one.spread().sums for one in measured[:past]]
        known = tuple(one for one in sums if one is not None)
        for count in range(1, most + 1):
            pooled = mean_of(measured[past : past + count], list(sizes[past : past + count]))
            passed[history, count - 1] = pooled.spread(known).p(pooled.value + improvement, sign=1) <= level
    return [float(share) for share in np.maximum.accumulate(passed, axis=1).mean(axis=0)]


def mean_of(measured: Sequence[Measured], sizes: Sequence[Floats]) -> Measured:
    """The mean over windows, weighted by rows, as gates measure it (core.gates.pooled)."""
    if len(measured) == 1:
        return measured[0]
    every = np.concatenate(sizes)
    weights = np.array([own.sum() for own in sizes]) / every.sum()
    return Measured(
        value=float(weights @ np.array([one.value for one in measured])),
        parts=np.concatenate([weight * one.parts for weight, one in zip(weights, measured, strict=True)]),
        shares=every / every.sum(),
        is_ordered=measured[0].is_ordered,
        rows=sum(one.rows for one in measured),
        pooled=tuple(one.units for one in measured),
    )
