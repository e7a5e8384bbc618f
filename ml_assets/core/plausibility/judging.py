"""Whether a partition is plausible, compared with the ones before it. Each question has a claim of its own, and each answer its
reason.

These are not tests of drift: they ask for what no season does. A partition that holds back a training wrongly costs a person's
time, so each asks for a difference that is not chance and clearly larger than all that was seen before.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from ml_assets.core.drift.column_orders import BESIDE, rule_of, rules, share_of
from ml_assets.core.drift.distance import compare
from ml_assets.core.drift.distance_test import against_past
from ml_assets.core.drift.histograms import Histogram, Levels, NumberBins
from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.plausibility.claims import CLAIMS
from ml_assets.core.plausibility.leaks import leaks
from ml_assets.core.plausibility.summary import PARTS, Summary

LEAST = 6
"""Past partitions that a comparison with history needs."""
HISTORY = 32
WINDOW = 8
LEVEL = 0.001
VOLUME = 0.25
"""By which share the rows have to differ from the usual number."""
RELATION, RELATION_LEVEL = 0.20, 0.05
"""The share of a pair's rows that has to lie in other cells than before, beyond the most that ever did: a clock that is put
back an hour moves 18 % of them, one that is five hours off 30 %."""
TIED = 0.4
"""A column with this share of equal values has no useful ranks; its pairs are left out."""
LABEL = 0.05
"""The share of the labels that has to differ, beyond the most that ever did."""
REPEATED = 0.05
"""The share of rows that have to repeat others, beyond the most that ever did."""
VARIED = 10
"""Bins without which a column says nothing about being the same as another partition's."""
SAME = 1 / 3
"""The share of those columns that have to be the same, row for row."""
CONSTANT = 100
"""Labels that are all alike are implausible from this many on."""
SHOWN = 4


@dataclass(frozen=True)
class PlausibilityResult:
    """The result of one claim."""

    claim: str
    is_plausible: bool
    why: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """A partition and its summary."""

    key: str
    summary: Summary


def plausible(past: Sequence[Known], now: Known, *, label: str) -> list[PlausibilityResult]:
    """One answer for each claim. `past` are the earlier partitions, in order."""
    past = [partition for partition in past if partition.summary.rows][-HISTORY:]
    if not now.summary.rows:
        return [PlausibilityResult(claim, True, "it has no rows") for claim in CLAIMS]
    judges: dict[str, Callable[[], PlausibilityResult]] = {
        "volume_plausible": lambda: _volume(past, now),
        "content_is_new": lambda: _content(past, now, label),
        "label_rate_plausible": lambda: _label(past, now, label),
        "relations_hold": lambda: _relations(past, now),
        "no_column_gives_label_away": lambda: _separation(past, now),
    }
    return [judges[claim]() for claim in CLAIMS]


def _too_few(claim: str, number: int) -> PlausibilityResult:
    return PlausibilityResult(claim, True, f"{number} past partitions to compare with, {LEAST} are needed", {"past": number})


def _volume(past: Sequence[Known], now: Known) -> PlausibilityResult:
    claim, rows = "volume_plausible", now.summary.rows
    if len(past) < LEAST:
        return _too_few(claim, len(past))
    logs = np.log([partition.summary.rows for partition in past])
    window = min(WINDOW, len(past) // 2)
    steps = np.array([logs[at] - logs[at - window : at].mean() for at in range(window, len(logs))])
    usual = float(np.exp(logs[-window:].mean()))
    difference = np.log(rows) - logs[-window:].mean()
    spread = max(float(np.sqrt(np.mean(steps**2))), 1 / np.sqrt(rows)) * np.sqrt(1 + 1 / window)
    p = float(2 * stats.t.sf(abs(difference) / spread, len(steps)))
    is_large = abs(rows / usual - 1) >= VOLUME and abs(difference) > np.abs(steps).max()
    why = f"{rows:,} rows, usually about {usual:,.0f}"
    return PlausibilityResult(claim, not (is_large and p < LEVEL), why, {"rows": rows, "usual": round(usual), "p": _rounded(p)})


def _content(past: Sequence[Known], now: Known, label: str) -> PlausibilityResult:
    claim, mine = "content_is_new", _signatures(now.summary, label)
    before = [(other.key, _signatures(other.summary, label)) for other in past]
    telling = [name for name in mine if _never_repeats([theirs[name] for _, theirs in before if name in theirs])]
    for key, theirs in before if len(past) > 1 else ():
        same = [name for name in telling if mine[name] == theirs.get(name)]
        if len(same) >= max(2, SAME * len(telling)):
            why = f"it has the same values as {key} in {_some(same)}: another partition's content again?"
            return PlausibilityResult(claim, False, why, {"same_as": key, "columns": same})
    most = max((partition.summary.repeated for partition in past), default=0.0)
    repeated = now.summary.repeated
    if past and repeated > most + REPEATED:
        why = f"{repeated:.0%} of its rows repeat another row in everything but the key, at most {most:.0%} did before"
        return PlausibilityResult(claim, False, why, {"repeated": _rounded(repeated), "most": _rounded(most)})
    return PlausibilityResult(
        claim, True, f"no earlier partition has these values; {repeated:.1%} of the rows repeat another one"
    )


def _signatures(summary: Summary, label: str) -> dict[str, tuple[Any, ...]]:
    """The histograms of columns with many values, as something that can be compared."""
    histograms = {}
    for name, histogram in summary.histograms.items():
        if name != label and len(histogram.counts) >= VARIED:
            bins = histogram.levels if isinstance(histogram, Levels) else (histogram.exponent, histogram.bins.tobytes())
            histograms[name] = (bins, histogram.counts.tobytes(), histogram.missing)
    return histograms


def _never_repeats(signatures: Sequence[tuple[Any, ...]]) -> bool:
    """Whether no two past partitions have the same rows in a column, as hours of the day may."""
    return len(set(signatures)) == len(signatures)


def _label(past: Sequence[Known], now: Known, label: str) -> PlausibilityResult:
    claim, mine = "label_rate_plausible", now.summary.histograms.get(label)
    known = [partition for partition in past if _labels(partition.summary.histograms.get(label))]
    if mine is None or not _labels(mine):
        return PlausibilityResult(claim, True, "no label is known yet")
    if (
        len(mine.counts) == 1
        and mine.counts[0] >= CONSTANT
        and known
        and all(_is_varied(partition, label) for partition in known)
    ):
        return PlausibilityResult(claim, False, f"all {mine.counts[0]:,} labels are alike, which no earlier partition's were")
    if len(known) < LEAST:
        return _too_few(claim, len(known))
    from ml_assets.core.drift.bin_layout import binned

    of = binned([partition.summary.histograms[label] for partition in known] + [mine], len(known))
    rows = of.rows[:, :-1]
    shift = _against_history(rows, np.array([0]), np.array([rows.shape[1]]))
    share = float(shift.moved[-1, 0])
    is_far = share > float(shift.moved[:-1, 0].max()) + LABEL and shift.p[0] < LEVEL
    why = f"{share:.0%} of the labels would have to be others to be as before, at most {shift.moved[:-1, 0].max():.0%} were"
    return PlausibilityResult(claim, not is_far, why, {"moved": _rounded(share), "p": _rounded(float(shift.p[0]))})


def _labels(histogram: Histogram | None) -> int:
    return int(histogram.counts.sum()) if isinstance(histogram, Levels | NumberBins) else 0


def _is_varied(known: Known, label: str) -> bool:
    return len(known.summary.histograms[label].counts) > 1


def _relations(past: Sequence[Known], now: Known) -> PlausibilityResult:
    claim = "relations_hold"
    past = [partition for partition in past if partition.summary.pairs == now.summary.pairs]
    if len(past) < LEAST or not now.summary.pairs:
        return _too_few(claim, len(past))
    if turned := _turned(past, now):
        message = _some([f"{name} in {share:.0%} of the rows, never before" for name, share in turned])
        return PlausibilityResult(claim, False, f"{message}: swapped, or another unit?", {"orders": [name for name, _ in turned]})
    usable = [place for place, pair in enumerate(now.summary.pairs) if not any(_is_tied(name, [*past, now]) for name in pair)]
    names = [now.summary.pairs[place] for place in usable]
    if not names:
        return PlausibilityResult(claim, True, "there are no two columns of numbers to compare")
    cells = np.stack([partition.summary.cells[usable] for partition in (*past, now)]).astype(float)
    number = cells.shape[1]
    starts = np.arange(number) * PARTS**2
    shift = _against_history(cells.reshape(len(past) + 1, -1), starts, np.full(number, PARTS**2))
    beyond = shift.moved[-1] - shift.moved[:-1].max(axis=0)
    broken = np.flatnonzero((beyond >= RELATION) & (shift.p < RELATION_LEVEL))
    if not broken.size:
        return PlausibilityResult(claim, True, f"{number} pairs of columns go together as before")
    pairs = [names[place] for place in broken[np.argsort(-beyond[broken])]]
    columns = [name for name, _ in Counter(name for pair in pairs for name in pair).most_common()]
    message = _some([f"{first} with {second}" for first, second in pairs])
    why = f"{_some(columns[:2])}: relates differently than ever before ({message}): swapped, another unit, another time zone?"
    values = {"pairs": [list(pair) for pair in pairs[:20]], "broken": len(pairs), "most": _rounded(float(beyond.max()))}
    return PlausibilityResult(claim, False, why, values)


def _turned(past: Sequence[Known], now: Known) -> list[tuple[str, float]]:
    """Pairs of columns as "a < b" that never were so and are now, with the share of rows."""
    turned = []
    for name in rules([{**partition.summary.histograms, **partition.summary.orders} for partition in past], now.summary.orders):
        side = rule_of([partition.summary.orders[name] for partition in past])
        share = share_of(now.summary.orders[name], side)
        if share >= RELATION:
            turned.append((name.replace(BESIDE, f" {side} "), share))
    return sorted(turned, key=lambda order: -order[1])


def _is_tied(column: str, partitions: Sequence[Known]) -> bool:
    counts = [partition.summary.histograms[column].counts for partition in partitions]
    return any(counts.max(initial=0) > TIED * max(counts.sum(), 1) for counts in counts)


def _separation(past: Sequence[Known], now: Known) -> PlausibilityResult:
    claim, mine = "no_column_gives_label_away", now.summary.separation
    before = [partition.summary.separation for partition in past if partition.summary.separation]
    if not mine:
        return PlausibilityResult(claim, True, "too few labels are known, or they are all alike")
    if len(before) < LEAST:
        return _too_few(claim, len(before))
    if not (looks := leaks(before, mine, least=LEAST)):
        return PlausibilityResult(claim, True, f"{len(mine)} columns separate the label as they did")
    message = _some([f"{look.column} (AUC {0.5 + look.now:.2f}, at most {0.5 + look.most:.2f} before)" for look in looks])
    columns = {look.column: _rounded(look.now) for look in looks}
    return PlausibilityResult(claim, False, f"{message}: does it know the label?", {"columns": columns})


@dataclass(frozen=True)
class _HistoryTest:
    """`p` (tests,) after Holm; `moved` (G+1, tests) of the replays and the partition at hand."""

    p: Floats
    moved: Floats


def _against_history(rows: Floats, starts: Ints, bins: Ints) -> _HistoryTest:
    """Compare the last of T partitions (T, bins) with those before it, and replay these."""
    past = len(rows) - 1
    window = min(WINDOW, past // 2)
    sums = np.concatenate([np.zeros_like(rows[:1]), np.cumsum(rows, axis=0)])
    reference = sums[window:-1] - sums[: past + 1 - window]
    distance, expected, moved = compare(rows[window:], reference, starts)
    return _HistoryTest(against_past(distance, expected, bins)[1], moved)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
