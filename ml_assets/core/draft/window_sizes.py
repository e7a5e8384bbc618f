"""The number of deliveries to train and judge a candidate on, and the unit, so that a verdict has enough evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ml_assets.core.draft.delivery_calendar import DeliveryHistory
from ml_assets.core.metrics.units import CALENDAR
from ml_assets.spec.gates import MinimumSpec
from ml_assets.spec.partitions import Every
from ml_assets.spec.tasks import TASKS, Task

UNITS: dict[Every, tuple[str, ...]] = {
    "year": ("day", "week", "month"),
    "quarter": ("day", "week", "month"),
    "month": ("day", "week"),
    "week": ("day",),
    "day": ("hour", "day"),
    "hour": ("hour",),
}
"""The units of time that may be independent within a delivery, the finest first."""
USUAL_TRAIN: dict[Every, int] = {"year": 5, "quarter": 8, "month": 12, "week": 26, "day": 60, "hour": 24 * 14}
FEW_UNITS = 6
"""With fewer units in a delivery a coarser unit is as good."""
USUALLY_TRAINED, LEAST_TRAINED = 500, 100
"""Rows that the first candidate should be trained on, and those that it needs where a window after them decides."""
MOST_FOLDS, RESERVED, ENOUGH_ROWS = 5, 0.5, 100
"""Of a table without a time: the largest number of reserve folds, the share of rows in all of them, and rows that one needs."""
MOST_TEST = 4
"""A test window is at most the history divided by this."""
LEAST = MinimumSpec(units=5, positives=10, negatives=10, per_class=5)
"""Below these nothing is decided whatever the history is."""


@dataclass(frozen=True)
class WindowSizes:
    """`keys` are the partitions of the history; `train`, `test` and `minimum` as in product.yaml. `earliest` is the least that
    `minimum` can be."""

    keys: tuple[str, ...]
    train: int
    test: int
    minimum: int
    earliest: int

    def ending(self, end: int) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
        """The partitions that a candidate, and the champion before it, would have been trained on, and those of the test, for the
        window that ends with the `end`-th partition. Empty where the history does not reach."""
        start = end - self.test
        train = self.keys[max(0, start - self.train) : max(0, start)]
        if len(train) < self.earliest:
            return (), (), ()
        before = self.keys[max(0, start - self.test - self.train) : max(0, start - self.test)]
        return train, (before if len(before) >= self.earliest else ()), self.keys[start:end]

    def since(self, end: int) -> "WindowSizes":
        """With the first candidate as of the `end`-th partition, where that is before the usual number of rows is there."""
        return replace(self, minimum=max(self.earliest, min(self.minimum, end - self.test)))


def unit_of(times: pl.Series, history: DeliveryHistory, *, group: str | None) -> str:
    """The unit of independence: the group that is asked for, or a unit of time."""
    if group:
        return group
    for unit in UNITS[history.every]:
        counts = [len(units) for units in _by_partition(times.dt.truncate(CALENDAR[unit]), history)]
        if float(np.median(counts)) >= FEW_UNITS:
            return unit
    return UNITS[history.every][-1]


def windows_of(
    history: DeliveryHistory, units: pl.Series, target: pl.Series, *, task: Task, shortest: int = 1
) -> tuple[WindowSizes, MinimumSpec, list[str]]:
    """Windows and the minimum that each has, with notes where that is less than usual. `units` and `target` are of all rows;
    `shortest`: the fewest deliveries of a test window."""
    usual, count, notes = MinimumSpec(), len(history.keys), []
    classes = _class_counts(target, history, task=task)
    wanted = {name: int(getattr(usual, name)) for name in ("units", *classes)}
    own = _by_partition(units, history)

    def least(test: int) -> dict[str, float]:
        return {
            "units": _least_different(own, test),
            **{name: min(_least(values, test) for values in counts) for name, counts in classes.items()},
        }

    most = longest_test(history)
    test = next((t for t in range(min(shortest, most), most + 1) if all(least(t)[name] >= wanted[name] for name in wanted)), most)
    there = least(test)
    kept = {n: min(wanted[n], max(int(getattr(LEAST, n)), int(0.8 * there[n]))) for n in wanted}
    if less := [f"{kept[name]} {name} (usually {wanted[name]})" for name in wanted if there[name] < wanted[name]]:
        window = f"{test} {history.every}" + ("s" if test > 1 else "")
        notes.append(f"a test window of {window}, a quarter of the history, has few: it is judged from {', '.join(less)} on")
    minimum, earliest = (_deliveries(history, rows, test=test) for rows in (USUALLY_TRAINED, LEAST_TRAINED))
    train = max(minimum, min(USUAL_TRAIN[history.every], 4 * count))
    return WindowSizes(history.keys, train, test, minimum, earliest), MinimumSpec(**kept), notes


def scarce_classes(history: DeliveryHistory, target: pl.Series, *, test: int, least: int) -> list[int]:
    """The numbers of the classes of which some window of the later half of the history has too few rows."""
    by_class = {int(k): _summed((target == k).cast(pl.Float64), history) for k in target.drop_nulls().unique().sort()}
    return [number for number, counts in by_class.items() if _least(counts, test) < least]


def longest_test(history: DeliveryHistory) -> int:
    """The most deliveries that a test window may have."""
    return max(1, len(history.keys) // MOST_TEST)


def _deliveries(history: DeliveryHistory, rows: int, *, test: int) -> int:
    """The number of the first deliveries that have these rows; at most half of what a test window leaves."""
    sums, count = np.cumsum(list(history.rows.values())), len(history.keys)
    return max(1, min(int(np.searchsorted(sums, rows)) + 1, (count - test) // 2))


def static_windows(target: pl.Series, *, task: Task, most: int = MOST_FOLDS) -> tuple[WindowSizes, MinimumSpec, list[str]]:
    """The folds of a table without a time, as the partitions of a trial: part 0 is trained on from the start, each further part
    is one fold, `most` at most. Each fold has enough rows of either kind, as far as the table has."""
    known, usual, notes = target.drop_nulls(), MinimumSpec(), []
    is_classifier = TASKS[task].is_classifier
    scarce = min(known.value_counts()["count"].to_list()) if is_classifier else len(known)
    need = int(1.3 * (usual.positives if is_classifier else ENOUGH_ROWS))
    folds = max(1, min(most, int(RESERVED * scarce) // need))
    there = int(0.7 * RESERVED * scarce / folds)
    minimum = MinimumSpec()
    if is_classifier and there < usual.positives:
        names = ("per_class",) if task == "multiclass" else ("positives", "negatives")
        least = max(getattr(LEAST, names[0]), there)
        minimum = MinimumSpec(**dict.fromkeys(names, least))
        rarest = "rarest class" if task == "multiclass" else "rarer label"
        notes.append(f"a fold has few rows of the {rarest}: it is judged from {least} (usually {usual.positives}) on")
    return WindowSizes(tuple(f"{part:04d}" for part in range(folds + 1)), folds, 1, 1, 1), minimum, notes


def _class_counts(target: pl.Series, history: DeliveryHistory, *, task: Task) -> dict[str, list[np.ndarray]]:
    """The rows of each class by partition, under the name of their minimum."""
    if task == "multiclass":
        return {"per_class": [_summed((target == k).cast(pl.Float64), history) for k in target.drop_nulls().unique().sort()]}
    return {"positives": [_summed(target, history)], "negatives": [_summed(1 - target, history)]} if task == "binary" else {}


def _by_partition(units: pl.Series, history: DeliveryHistory) -> list[set[object]]:
    """The units of each partition."""
    frame = pl.DataFrame({"unit": units, "partition": history.codes}).drop_nulls()
    values = dict(frame.group_by("partition").agg(pl.col("unit").unique()).iter_rows())
    return [set(values.get(key, ())) for key in history.keys]


def _least_different(units: Sequence[set[object]], test: int) -> float:
    """The fewest units of a window of the later half of the history; one that is in several partitions counts once."""
    ends = range(max(test, (len(units) + test) // 2), len(units) + 1)
    return min(len(set().union(*units[end - test : end])) for end in ends)


def _summed(values: pl.Series, history: DeliveryHistory) -> np.ndarray:
    frame = pl.DataFrame({"value": values, "partition": history.codes}).drop_nulls()
    sums = dict(frame.group_by("partition").agg(pl.col("value").sum()).iter_rows())
    return np.asarray([sums.get(key, 0.0) for key in history.keys])


def _least(counts: np.ndarray, test: int) -> float:
    """The least that a window of the later half of the history holds."""
    sums = np.convolve(counts, np.ones(test), mode="valid")
    return float(sums[len(sums) // 2 :].min())
