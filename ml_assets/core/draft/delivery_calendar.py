"""The division of history into deliveries: by hour, day, week or month, without gaps and unfinished ends."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import polars as pl

from ml_assets.core.draft.request import DraftRefused
from ml_assets.core.lineage.partitions import Partitions
from ml_assets.spec.partitions import KEY_FORMATS, Every

COARSEST_FIRST: tuple[Every, ...] = ("month", "week", "day", "hour")
COARSER: tuple[Every, ...] = ("quarter", "year")
MANY = 60
"""With more deliveries than this a coarser division has enough too."""
STATIC_DELIVERIES = ("0001", "0002")
"""A table without a time is replayed as two deliveries, the second of which has the tenth of the rows that the first lacks."""
LACKING = 10
FEWEST = 6
"""Deliveries that a history should have: some to train on, and some to be judged on one after another."""
LEAST = 4
UNFINISHED = 0.5
"""A first or last delivery with less than this share of the usual rows is taken for an unfinished one."""
_TRUNCATED: dict[Every, str] = {"hour": "1h", "day": "1d", "week": "1w", "month": "1mo", "quarter": "1q", "year": "1y"}


@dataclass(frozen=True)
class DeliveryHistory:
    """`codes` (rows,): the partition key of each row, null for rows that are in no delivery; `keys`: the partitions in order."""

    every: Every
    keys: tuple[str, ...]
    codes: pl.Series
    notes: tuple[str, ...] = field(default=())

    @property
    def is_static(self) -> bool:
        """Whether each delivery is the whole table."""
        return self.every == "delivery"

    def rows_of(self, key: str) -> pl.Series:
        """Which rows (rows,) are delivered as a partition."""
        if self.is_static:
            numbers = pl.int_range(len(self.codes), eager=True)
            return (numbers % LACKING != LACKING - 1) | (key != self.keys[0])
        return (self.codes == key).fill_null(value=False)

    @property
    def rows(self) -> dict[str, int]:
        """The number of rows of each partition."""
        if self.is_static:
            return {key: int(self.rows_of(key).sum()) for key in self.keys}
        counts = dict(self.codes.drop_nulls().value_counts().iter_rows())
        return {key: counts[key] for key in self.keys}

    @property
    def typical(self) -> int:
        """The median number of rows of a partition."""
        return sorted(self.rows.values())[len(self.keys) // 2]


def static_history(rows: int) -> DeliveryHistory:
    """A table without a time: each delivery is all of it."""
    return DeliveryHistory("delivery", STATIC_DELIVERIES, pl.repeat(STATIC_DELIVERIES[-1], rows, dtype=pl.String, eager=True))


def history_of(times: pl.Series, every: Every | None) -> DeliveryHistory:
    """The coarsest division that has enough deliveries, or the one that is asked for. Raises DraftRefused where none has."""
    tried = [_divided(times, unit) for unit in ([every] if every else COARSEST_FIRST)]
    enough = [history for history in tried if len(history.keys) >= FEWEST]
    for unit in COARSER if enough and not every else ():
        if len(enough[0].keys) > MANY:
            enough.insert(0, _divided(times, unit))
    best = enough[0] if enough else max(tried, key=lambda history: len(history.keys))
    if len(best.keys) < LEAST:
        known = times.drop_nulls()
        span = f"{known.min()!s} to {known.max()!s}" if len(known) else "no time at all"
        many = "delivery" if len(best.keys) == 1 else "deliveries"
        count = f"{len(best.keys)} whole {many} in a row by {best.every}"
        raise DraftRefused(
            f"{times.name}: the rows are of {span}, which gives {count}; at least {LEAST} are needed: add history, cut it "
            f"otherwise (--every), or name another time column (--time)"
        )
    return best


def _divided(times: pl.Series, every: Every) -> DeliveryHistory:
    codes = times.dt.truncate(_TRUNCATED[every]).dt.strftime(KEY_FORMATS[every])
    counts = dict(codes.drop_nulls().value_counts().sort(codes.name).iter_rows())
    notes: list[str] = []
    keys = _without_gaps(sorted(counts), every, notes, counts)
    usual = sorted(counts[key] for key in keys)[len(keys) // 2] if keys else 0
    for place, end in ((0, "first"), (-1, "last")):
        if len(keys) > LEAST and counts[keys[place]] < UNFINISHED * usual:
            key = keys.pop(place)
            notes.append(f"{key}, the {end} {every}, has {counts[key]:,} of usually {usual:,} rows and is left out as unfinished")
    kept = pl.when(pl.col(codes.name).is_in(keys)).then(pl.col(codes.name))
    return DeliveryHistory(every, tuple(keys), codes.to_frame().select(kept.alias("partition")).to_series(), tuple(notes))


def _without_gaps(keys: Sequence[str], every: Every, notes: list[str], counts: dict[str, int]) -> list[str]:
    """The longest run of partitions that follow each other: a window of training has no holes."""
    if not keys:
        return []
    calendar = Partitions(every=every, start=keys[0])
    runs: list[list[str]] = [[keys[0]]]
    for before, key in pairwise(keys):
        if calendar.ordinal(key) == calendar.ordinal(before) + 1:
            runs[-1].append(key)
        else:
            runs.append([key])
    longest = max(runs, key=len)
    left = sum(counts[key] for run in runs if run is not longest for key in run)
    if left:
        notes.append(f"{left:,} rows before or after a gap in the {every}s are left out: {longest[0]} to {longest[-1]} have none")
    return list(longest)
