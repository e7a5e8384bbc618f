"""The rate of false alarms, counted in worlds without drift whose partitions are judged one after the other: of the data, and of
requests beside the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.simulations.drift_worlds import SEASONS, History, Worlds, simulated
from ml_assets.core.drift.distance import Flags, compare
from ml_assets.core.drift.distance_test import against_past, judge
from ml_assets.core.drift.verdict import ALARM, EFFECT, HISTORY, SPAN, WATCH, WINDOW
from ml_assets.core.metrics.arrays import Floats

CONFIDENCE = 0.99
TOGETHER = 32
"""Worlds that are judged in one call: more of them are slower, as they no longer fit the processor's cache."""


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
    """Judge partitions of each world by the product's own rule, once there are `past` ones and as many verdicts as an alarm looks
    back on."""
    period = SEASONS if history == "seasons" else 1
    begin = past * period
    total = begin + SPAN + judged
    drawn = simulated(history, worlds=worlds, partitions=total, rows=[rows], columns=columns, random=random)
    exceeds = np.zeros((worlds, total, columns), dtype=bool)
    watched, alarmed, out = (np.zeros((worlds, total), dtype=bool) for _ in range(3))
    for now in range(begin, total):
        left_out = out.copy()
        left_out[:, now - SPAN : now] |= exceeds[:, now - SPAN : now].any(axis=-1)
        places = np.arange(now % period, now, period)
        patterns, of_world = np.unique(left_out[:, places], axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            group = np.flatnonzero(of_world.ravel() == number)
            used = np.append(places[~pattern][-HISTORY:], now)
            exceeds[group, now], watched[group, now] = _judged(drawn.counts[0][np.ix_(group, used)], drawn)
        recent = exceeds[:, now - SPAN : now]
        lasting = (exceeds[:, now, None] & recent).any(axis=-1)
        alarmed[:, now] = out[:, now] = lasting.any(axis=-1)
        out[:, now - SPAN : now] |= lasting
    return _rates(alarmed[:, -judged:], watched[:, -judged:])


def false_skew(
    history: History, *, rows: int, requests: int, columns: int, past: int, judged: int, worlds: int, random: np.random.Generator
) -> Rates:
    """Judge requests about each partition that are one more draw of it, beside it and those before it: `past` with itself. All of
    these count as history, whatever they look like, as they do of a product."""
    period = SEASONS if history == "seasons" else 1
    begin = past * period - 1
    total = begin + SPAN + judged
    drawn = simulated(history, worlds=worlds, partitions=total, rows=[rows, requests], columns=columns, random=random)
    delivered, requested = drawn.counts
    exceeds, watched = np.zeros((worlds, total, columns), dtype=bool), np.zeros((worlds, total), dtype=bool)
    for now in range(begin, total):
        places = np.arange(now % period, now + 1, period)[-HISTORY:]
        exceeds[:, now], watched[:, now] = _judged(np.concatenate([delivered[:, places], requested[:, now, None]], axis=1), drawn)
    judgements = range(total - judged, total)
    alarmed = np.stack([(exceeds[:, now, None] & exceeds[:, now - SPAN : now]).any(axis=(1, 2)) for now in judgements], axis=1)
    return _rates(alarmed, watched[:, -judged:])


def _judged(counts: Floats, of: Worlds) -> tuple[Flags, Flags]:
    """Of the last of these partitions (worlds, partitions, bins): the columns that exceed at the level of an alarm (worlds,
    columns), and whether anything does at that of a watch (worlds,)."""
    columns, watches = [], []
    for some in np.array_split(counts, -(-len(counts) // TOGETHER)):
        at_alarm, at_watch = _exceeding(some, of)
        columns.append(np.maximum.reduceat(at_alarm, np.flatnonzero(np.diff(of.column, prepend=-1)), axis=-1))
        watches.append(at_watch.any(axis=-1))
    return np.concatenate(columns), np.concatenate(watches)


def _exceeding(counts: Floats, of: Worlds) -> tuple[Flags, Flags]:
    """(worlds, tests): what exceeds at the levels of an alarm and of a watch in the last of these partitions."""
    past = counts.shape[1] - 1
    window = min(WINDOW, past // 2)
    uses = np.zeros((past + 1 - window, past + 1))
    for row, at in enumerate(range(window, past + 1)):
        uses[row, at - window : at] = 1
    distance, expected, moved = compare(counts[:, window:], uses @ counts, of.starts)
    matters = np.ones(moved.shape, dtype=bool)
    matters[:, -1] = moved[:, -1] - np.median(moved[:, :-1], axis=1) >= EFFECT
    _, p = against_past(distance, expected, of.bins, matters[:, -1])
    unusual = np.flatnonzero(
        (p < ALARM).any(axis=-1)
    )  # alone they need the look at the largest z, which takes nearly all the time
    judged = judge(distance[unusual], expected[unusual], matters[unusual], of.bins)
    at_alarm, at_watch = (np.zeros(p.shape, dtype=bool) for _ in range(2))
    at_alarm[unusual], at_watch[unusual] = judged.exceeds(ALARM), judged.exceeds(WATCH)
    return at_alarm, at_watch


def _rates(alarmed: Flags, watched: Flags) -> Rates:
    figures: list[float] = []
    for events in (alarmed, watched):
        figures += [float(events.mean()), _upper(events)]
    return Rates(alarmed.size, *figures)


def _upper(events: Flags) -> float:
    """The upper limit of the rate of events (worlds, partitions): normal, by the spread between worlds; that of a Poisson count
    where it is greater, as it is of few events."""
    of_world = events.mean(axis=1)
    normal = of_world.mean() + stats.norm.ppf(CONFIDENCE) * of_world.std(ddof=1) / np.sqrt(len(of_world))
    return float(max(normal, stats.gamma.ppf(CONFIDENCE, events.sum() + 1) / events.size))
