"""The rate of false alarms: worlds without drift, whose partitions differ by chance or by nature, judged one after the
other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ml_assets.core.drift.distance import Flags, compare
from ml_assets.core.drift.distance_test import judge
from ml_assets.core.drift.verdict import ALARM, EFFECT, SPAN, WATCH, WINDOW
from ml_assets.core.metrics.arrays import Floats, Ints

History = Literal["stationary", "seasons", "heavy"]
SEASONS = 2
"""Seasons of the world that has them; each partition is compared with those of its own."""
NORMAL_99 = 2.3263
TOGETHER = 32
"""Worlds that are judged in one call: more of them are slower, as they no longer fit the processor's cache."""
NUMBERS = (0.098,) * 10 + (0.02,)
LEVELS = (0.5, 0.2, 0.1, 0.05, 0.05, 0.03, 0.03, 0.02, 0.01, 0.01)


@dataclass(frozen=True)
class Rates:
    """Shares of the judged partitions, each with its upper 99 % confidence limit; the worlds are what is independent."""

    partitions: int
    alarms: float
    alarms_upper: float
    watches: float
    watches_upper: float

    @property
    def values(self) -> Mapping[str, Any]:
        """The rates by name, as JSON values."""
        return vars(self)


def false_alarms(
    history: History, *, rows: int, columns: int, past: int, judged: int, worlds: int, random: np.random.Generator
) -> Rates:
    """Judge partitions of each world after a number of past ones, by the product's own rule."""
    period = SEASONS if history == "seasons" else 1
    counts, bins, column = world(
        history, worlds=worlds, partitions=past * period + judged, rows=rows, columns=columns, random=random
    )
    starts = np.concatenate([[0], np.cumsum(bins)[:-1]])
    exceeds = np.zeros((worlds, counts.shape[1], columns), dtype=bool)
    watched, alarmed = (np.zeros((worlds, counts.shape[1]), dtype=bool) for _ in range(2))
    out = np.zeros((worlds, counts.shape[1]), dtype=bool)
    for now in range(past * period, counts.shape[1]):
        left_out = out.copy()
        left_out[:, max(0, now - SPAN) : now] |= exceeds[:, max(0, now - SPAN) : now].any(axis=-1)
        places = np.arange(now % period, now, period)
        patterns, of_world = np.unique(left_out[:, places], axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            group = np.flatnonzero(of_world.ravel() == number)
            used = np.append(places[~pattern], now)
            for some in np.array_split(group, -(-group.size // TOGETHER)):
                at_alarm, at_watch = _exceeding(counts[np.ix_(some, used)], starts, bins)
                watched[some, now] = at_watch.any(axis=-1)
                for place in range(columns):
                    exceeds[some, now, place] = at_alarm[:, column == place].any(axis=-1)
        recent = exceeds[:, max(0, now - SPAN) : now]
        lasting = (exceeds[:, now, None] & recent).any(axis=-1)
        alarmed[:, now] = lasting.any(axis=-1)
        out[:, now] = alarmed[:, now]
        out[:, max(0, now - SPAN) : now] |= lasting
    return _rates(alarmed[:, past * period :], watched[:, past * period :])


def world(
    history: History, *, worlds: int, partitions: int, rows: int, columns: int, random: np.random.Generator
) -> tuple[Floats, Ints, Ints]:
    """Rows by bin (worlds, partitions, bins), the number of bins of each test, and the column of each test. Two columns of three
    are numbers. `seasons` alternate; `heavy` moves each column along a direction of its own, by Student's t with 3 degrees."""
    blocks: list[Floats] = []
    bins: list[int] = []
    of_column: list[int] = []
    for column in range(columns):
        base = np.array(LEVELS if column % 3 == 2 else NUMBERS)
        logs = np.log(base / base.sum())
        direction = random.normal(size=(worlds, 1, base.size))
        jitter = random.normal(size=(worlds, partitions, base.size))
        if history == "stationary":
            logs = np.broadcast_to(logs, jitter.shape)
        elif history == "seasons":
            season = (np.arange(partitions) % SEASONS)[None, :, None]
            logs = logs + 0.5 * season * direction + 0.05 * jitter
        else:
            logs = logs + 0.1 * random.standard_t(3, size=(worlds, partitions, 1)) * direction + 0.05 * jitter
        shares = np.exp(logs)
        counts = random.multinomial(rows, shares / shares.sum(axis=-1, keepdims=True)).astype(float)
        alone = [counts[..., place] for place in (base.size - 1, 0)]
        blocks += [counts, *(np.stack([one, rows - one], axis=-1) for one in alone)]
        bins += [base.size, 2, 2]
        of_column += [column] * 3
    return np.concatenate(blocks, axis=-1), np.array(bins), np.array(of_column)


def _exceeding(counts: Floats, starts: Ints, bins: Ints) -> tuple[Flags, Flags]:
    """(worlds, tests): what exceeds at the levels of an alarm and of a watch in the last of these partitions."""
    past = counts.shape[1] - 1
    window = min(WINDOW, past // 2)
    uses = np.zeros((past + 1 - window, past + 1))
    for row, at in enumerate(range(window, past + 1)):
        uses[row, at - window : at] = 1
    distance, expected, moved = compare(counts[:, window:], uses @ counts, starts)
    matters = np.ones(moved.shape, dtype=bool)
    matters[:, -1] = moved[:, -1] - np.median(moved[:, :-1], axis=1) >= EFFECT
    judged = judge(distance, expected, matters, bins)
    return judged.exceeds(ALARM), judged.exceeds(WATCH)


def _rates(alarmed: Flags, watched: Flags) -> Rates:
    figures = []
    for alarms in (alarmed, watched):
        of_world = alarms.mean(axis=1)
        # of no event among so many partitions the limit is that of a Poisson count
        limit = (
            of_world.mean() + NORMAL_99 * of_world.std(ddof=1) / np.sqrt(len(of_world)) if alarms.any() else 4.605 / alarms.size
        )
        figures += [float(of_world.mean()), float(limit)]
    return Rates(alarmed.size, *figures)
