"""The verdict on a partition: stable, watch, or an alarm, and what moved. Pure; a series of partitions is judged in order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ml_assets.core.drift.bin_layout import Binned, Test, binned, tests_of
from ml_assets.core.drift.column_orders import BESIDE, rules
from ml_assets.core.drift.distance import compare
from ml_assets.core.drift.distance_test import judge
from ml_assets.core.drift.drift_in_words import MovedColumn, in_words, moved
from ml_assets.core.drift.histograms import Histograms
from ml_assets.core.metrics.arrays import Floats, Ints

LEAST = 6
"""Past partitions without which there is no verdict."""
LARGER = 4
"""A partition this many times larger than any before it has no verdict: nothing says how much that many rows vary."""
WINDOW = 8
"""Partitions before one that it is compared with, at most half of those there are."""
HISTORY = 32
"""Past partitions that are replayed, at most."""
ALARM, WATCH = 0.05, 0.01
"""The level of the test that has to fail in 2 of 3 partitions, and of the one that is shown of a single partition."""
SPAN = 2
"""An alarm asks whether the same column moved in one of this many partitions before."""
EFFECT = 0.02
"""The least share of the rows that has to have moved beyond what moves usually, by the median of the replays."""
VOLUME = "(rows)"
INNER = (0.05, 0.95)
"""Between which quantiles of the replays a band lies."""
State = Literal["stable", "watch", "alarm", "uncalibrated"]
Reference = Literal["training", "previous", "same_season"]


@dataclass(frozen=True)
class Observed:
    """A partition: its key, its number in the calendar, and its histograms. `content` is the digest that they were taken of.
    `orders` says of pairs of columns which is the larger one (core.drift.column_orders)."""

    key: str
    number: int
    rows: int
    histograms: Histograms
    content: str = ""
    orders: Histograms = field(default_factory=dict)

    @property
    def all(self) -> Histograms:
        """Of columns, and of pairs of columns."""
        return {**self.histograms, **self.orders}


@dataclass(frozen=True)
class Band:
    """The share of a column's rows that moved, and between which shares it lay in nine of ten replays."""

    moved: float
    low: float
    high: float


@dataclass(frozen=True)
class DriftVerdict:
    """`exceeds`: the columns that moved at the level of an alarm, `moved` in which way, the most striking first. `references` are
    the partitions it was compared with, `replayed` how many past comparisons say what is natural. `bands`: by column, also of
    those that are ignored."""

    partition: str
    state: State
    why: str
    exceeds: tuple[str, ...] = ()
    lasting: tuple[str, ...] = ()
    moved: tuple[MovedColumn, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    replayed: int = 0
    bands: Mapping[str, Band] = field(default_factory=dict)

    @property
    def is_calm(self) -> bool:
        """Neither an alarm nor a watch."""
        return self.state in ("stable", "uncalibrated")

    @property
    def sentence(self) -> str:
        """In words."""
        lead = {"watch": "watch: this partition alone, ", "alarm": "alarm: ", "uncalibrated": "UNCALIBRATED: "}.get(
            self.state, ""
        )
        return f"{lead}{self.why}" if lead or not self.exceeds else f"no alarm yet, it would take a second partition: {self.why}"

    @property
    def values(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "state": self.state,
            "exceeds": list(self.exceeds),
            "lasting": list(self.lasting),
            "moved": [part.values for part in self.moved],
            "references": dict(self.references),
            "replayed": self.replayed,
        }


@dataclass(frozen=True)
class DriftReference:
    """The reference of a partition. `period`: partitions from one to the next of the same season; `training`: those that the
    release was trained on; `ignored`: columns that may move."""

    reference: Reference = "previous"
    period: int = 1
    training: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()


def follow(partitions: Sequence[Observed], rule: DriftReference, accepted: Collection[str] = ()) -> list[DriftVerdict]:
    """The verdict on each partition, in order. One that exceeds is left out of the history of the next two; once it is part of an
    alarm it stays out, unless it is `accepted`."""
    verdicts: list[DriftVerdict] = []
    alarmed: set[str] = set()
    for number, now in enumerate(partitions):
        recent = {v.partition: v for v in verdicts[-SPAN:] if number and now.number - _number(partitions, v) <= SPAN}
        pending = {key for key, verdict in recent.items() if verdict.exceeds}
        past = [p for p in partitions[:number] if p.key in accepted or p.key not in alarmed | pending]
        verdict = lasting(judged_alone(past, now, rule), [*recent.values()])
        if verdict.state == "alarm":
            alarmed |= {now.key} | {key for key, other in recent.items() if {*other.exceeds} & {*verdict.lasting}}
        verdicts.append(verdict)
    return verdicts


def lasting(verdict: DriftVerdict, recent: Sequence[DriftVerdict]) -> DriftVerdict:
    """The verdict as an alarm, where a column exceeds that exceeded in one of the `recent` verdicts too; else as it is."""
    before = {column for other in recent for column in other.exceeds}
    columns = tuple(column for column in verdict.exceeds if column in before)
    if not columns:
        return verdict
    since = min(other.partition for other in recent if {*other.exceeds} & {*columns})
    words = in_words([part for part in verdict.moved if part.column in columns])
    return replace(verdict, state="alarm", why=f"in {since} and again in {verdict.partition}: {words}", lasting=columns)


def _number(partitions: Sequence[Observed], verdict: DriftVerdict) -> int:
    return next(p.number for p in reversed(partitions) if p.key == verdict.partition)


def judged_alone(past: Sequence[Observed], now: Observed, rule: DriftReference) -> DriftVerdict:
    """The verdict on one partition alone, which is never an alarm."""
    if rule.reference == "same_season":
        past = [p for p in past if (now.number - p.number) % rule.period == 0]
    past = [p for p in past if p.rows][-HISTORY:]
    if reason := _uncalibrated(past, now, rule):
        return DriftVerdict(now.key, "uncalibrated", reason)
    uses = _uses([p.key for p in past], rule)
    columns = [name for name in past[-1].histograms if name not in rule.ignored]
    columns = [name for name in columns if sum(name in p.histograms for p in past) == len(past)]
    kept = rules([p.all for p in past], now.orders)
    columns += [name for name in kept if not {*name.split(BESIDE)} & rule.ignored]
    compared = compare_all([*past, now], uses, columns)
    counts = np.ones(compared.moved.shape, dtype=bool)
    counts[-1] = compared.moved[-1] - np.median(compared.moved[:-1], axis=0) >= EFFECT
    judged = judge(compared.distance, compared.expected, counts, compared.bins)
    references = {past[place].key: past[place].content for place in np.flatnonzero(uses[-1][:-1])}
    is_at_alarm, is_at_watch = judged.exceeds(ALARM), judged.exceeds(WATCH)
    moves = [
        moved(
            test, compared.binned.get(test.column), uses[-1], [*(p.rows for p in past), now.rows], p=judged.p[place], share=share
        )
        for place, (test, share) in enumerate(zip(compared.tests, compared.moved[-1], strict=True))
        if is_at_alarm[place]
    ]
    moves.sort(key=lambda part: -part.share)
    exceeds = tuple(dict.fromkeys(part.column for part in moves))
    ignored = [name for name in past[-1].histograms if name in rule.ignored and all(name in p.histograms for p in past)]
    bands = _bands(compared) | (_bands(compare_all([*past, now], uses, ignored)) if ignored else {})
    state: State = "watch" if is_at_watch.any() else "stable"
    calm = "1 column moves as it does by nature" if len(columns) == 1 else f"{len(columns)} columns move as they do by nature"
    words = in_words(moves) or calm
    return DriftVerdict(now.key, state, words, exceeds, (), tuple(moves), references, len(uses) - 1, bands)


def _bands(compared: "DriftComparisons") -> dict[str, Band]:
    """Of the distribution of each column."""
    places = [place for place, test in enumerate(compared.tests) if test.about == "distribution"]
    low, high = np.quantile(compared.moved[:-1, places], INNER, axis=0).tolist()
    moved = compared.moved[-1, places].tolist()
    return {compared.tests[place].column: Band(*band) for place, *band in zip(places, moved, low, high, strict=True)}


def _uncalibrated(past: Sequence[Observed], now: Observed, rule: DriftReference) -> str:
    """The reason why there is no verdict; empty where there is one."""
    season = " of its season" if rule.reference == "same_season" else ""
    if not now.rows:
        return "it has no rows"
    if len(past) < LEAST:
        return f"{len(past)} past partitions{season} to learn from, {LEAST} are needed"
    if rule.reference == "training" and len({p.key for p in past} & rule.training) < 2:
        return "fewer than 2 of the partitions that the release was trained on are there to compare with"
    if now.rows > LARGER * (most := max(p.rows for p in past)):
        return f"it has {now.rows:,} rows, more than {LARGER} times as many as any before it ({most:,}): how such vary is unknown"
    return ""


def _uses(past: Sequence[str], rule: DriftReference) -> Floats:
    """Which partitions (columns: the past, then the one at hand) each comparison uses (rows: replays, then the one at hand)."""
    number = len(past)
    if rule.reference == "training":
        trained = np.array([*(key in rule.training for key in past), False], dtype=float)
        uses = np.tile(trained, (number + 1, 1))
        np.fill_diagonal(uses, 0)
        return uses
    window = min(WINDOW, number // 2)
    uses = np.zeros((number + 1 - window, number + 1))
    for row, at in enumerate(range(window, number + 1)):
        uses[row, at - window : at] = 1
    return uses


@dataclass(frozen=True)
class DriftComparisons:
    """Every comparison of every test: `distance`, `expected` and `moved` are (G+1, tests), `bins` (tests,)."""

    tests: list[Test]
    binned: Mapping[str, Binned]
    distance: Floats
    expected: Floats
    moved: Floats
    bins: Ints


def compare_all(partitions: Sequence[Observed], uses: Floats, columns: Sequence[str]) -> DriftComparisons:
    """Compare as `uses` says: its last row is the partition at hand, those before it are replays of the last past partitions."""
    history, replays = len(partitions) - 1, len(uses)
    counted = [p.all for p in partitions]
    all_binned = {name: binned([everything.get(name) for everything in counted], history) for name in columns}
    tests: list[Test] = []
    blocks: list[Floats] = []
    for name, column_bins in all_binned.items():
        of_column, rows = tests_of(name, column_bins, is_pair=BESIDE in name)
        tests += of_column
        blocks.append(rows)
    counts = np.concatenate(blocks, axis=1) if blocks else np.zeros((history + 1, 0))
    bins = np.array([len(test.labels) for test in tests])
    starts = np.concatenate([[0], np.cumsum(bins)[:-1]]).astype(int)
    distance, expected, shares = compare(counts[-replays:], uses @ counts, starts)
    volume = _volume(np.array([p.rows for p in partitions], dtype=float), uses)
    parts = [np.column_stack(pair) for pair in zip((distance, expected, shares), volume, strict=True)]
    tests.append(Test(VOLUME, "distribution", ()))
    return DriftComparisons(tests, all_binned, parts[0], parts[1], parts[2], np.append(bins, 2))


def _volume(rows: Floats, uses: Floats) -> tuple[Floats, Floats, Floats]:
    """The same three figures of the number of rows: squared difference of logarithms from the mean before, its expectation for
    Poisson counts, and by which share the number differs."""
    logs = np.log(np.maximum(rows, 1))
    own, number = logs[-len(uses) :], uses.sum(axis=1)
    difference = own - uses @ logs / number
    expected = 1 / np.maximum(rows[-len(uses) :], 1) + uses @ (1 / np.maximum(rows, 1)) / number**2
    return difference**2, expected, np.abs(np.expm1(difference))
