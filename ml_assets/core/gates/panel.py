"""The rows of a test window with every model's scores: what claims are measured on, and its division into slices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Protocol

import numpy as np
import polars as pl

from ml_assets.core.gates.bounds import ClaimEvidence, Sign, combine, shown
from ml_assets.core.gates.pooled import by_window, mean_over, units_of_windows
from ml_assets.core.gates.unknown_rows import UnknownRows
from ml_assets.core.metrics.arrays import Column, Floats, Ints, Task
from ml_assets.core.metrics.binary import mean_influence
from ml_assets.core.metrics.estimates import MetricError, checked, class_counts, measure, units_of
from ml_assets.core.metrics.intervals import Measured, Units
from ml_assets.core.metrics.metric import Metric
from ml_assets.core.metrics.registry import METRICS, metric_at
from ml_assets.core.metrics.score_columns import likeliest
from ml_assets.core.metrics.spread import WindowSums
from ml_assets.spec.claim_grammar import ClaimForm, Measure
from ml_assets.spec.monitoring import ValueSpec

MISSING_LEVEL = "(missing)"
Groups = dict[str, Ints]
"""Row numbers by level of a column."""


class MinimumLike(Protocol):
    """The section `gates.minimum` of product.yaml."""

    @property
    def units(self) -> int:
        """The smallest number of units to decide on."""

    @property
    def positives(self) -> int:
        """The smallest number of rows with label 1; binary tasks only."""

    @property
    def negatives(self) -> int:
        """The smallest number of rows with label 0; binary tasks only."""

    @property
    def per_class(self) -> int:
        """The smallest number of rows of each class; tasks of several classes only."""


@dataclass(frozen=True)
class Panel:
    """Checked rows, in one order: label, scores of each model, the code of each row's unit, columns to divide by.

    y (n,), scores {model: (n,)} or, of several `classes`, {model: (n, classes)}, codes (n,) in 0 to the number of units - 1,
    columns {name: (n,) of text}. `is_ordered`: the codes of units are in the order of time. `windows` (n,): of rows of several
    test windows, the number of each row's; what is measured is then the mean over windows. `unknown`: the rows of the
    same window whose label is not known; they decide nothing.
    """

    task: Task
    y: Floats
    scores: Mapping[str, Floats]
    codes: Ints
    columns: Mapping[str, pl.Series] = field(default_factory=dict)
    threshold: float | None = None
    is_ordered: bool = False
    worth: ValueSpec | None = None
    windows: Ints | None = None
    classes: Sequence[str] = ()
    unknown: UnknownRows | None = None

    @cached_property
    def units(self) -> Units:
        """The units of the rows, counted."""
        return Units.of(self.codes, is_ordered=self.is_ordered)

    @property
    def rows(self) -> int:
        """The number of rows, n."""
        return int(self.y.size)

    @property
    def positives(self) -> int | None:
        """The number of positive rows; None where no label is the yes."""
        return int(self.y.sum()) if self.task == "binary" else None

    def part(self, index: Ints) -> "Panel":
        """Only these rows; the codes of units stay what they are."""
        scores = {name: values[index] for name, values in self.scores.items()}
        columns = {name: values.gather(index) for name, values in self.columns.items()}
        windows = None if self.windows is None else self.windows[index]
        codes = self.codes[index]
        return replace(self, y=self.y[index], scores=scores, codes=codes, columns=columns, windows=windows, unknown=None)

    def by_row(self) -> "Panel":
        """The same rows, each taken for independent."""
        return replace(self, codes=np.arange(self.rows), is_ordered=False)

    def lacks(self, minimum: MinimumLike, *, is_labelled: bool = True) -> str:
        """The clause that names what is too little to decide anything; empty if nothing is. What is measured without labels
        (`is_labelled` False) needs no rows of both classes."""
        counts: dict[str, tuple[int, int]] = {"units": (self.units.count, minimum.units)}
        if self.positives is not None and is_labelled:
            counts["positives"] = (self.positives, minimum.positives)
            counts["negatives"] = (self.rows - self.positives, minimum.negatives)
        if self.task == "multiclass" and is_labelled:
            of_classes = class_counts(self.y, self.scores["candidate"]).tolist()
            named = self.classes or range(len(of_classes))
            counts |= {f"of class {name}": (n, minimum.per_class) for name, n in zip(named, of_classes, strict=True)}
        return ", ".join(f"{has:,} {what} (at least {least:,})" for what, (has, least) in counts.items() if has < least)

    @cached_property
    def groups(self) -> dict[str, Groups]:
        """The rows of each level of each column, most rows first."""
        return {name: _groups(values) for name, values in self.columns.items()}

    def of_level(self, column: str, level: str) -> "Panel | None":
        """The rows of one level, the same Panel each time; None when it has none."""
        index = self.groups[column].get(level)
        if index is None:
            return None
        if (column, level) not in self._parts:
            unknown = None if self.unknown is None else self.unknown.of_level(column, level)
            self._parts[column, level] = replace(self.part(index), unknown=unknown)
        return self._parts[column, level]

    def measured(self, terms: tuple[tuple[float, Measure], ...]) -> Measured:
        """The weighted sum of measures, paired: all of them on these rows."""
        return combine((weight, self._measure(term)) for weight, term in terms)

    def tested(
        self, terms: tuple[tuple[float, Measure], ...], *, constant: float, sign: Sign, past: Sequence[WindowSums] = ()
    ) -> ClaimEvidence:
        """The test of `sum of terms sign constant` on these rows; `past` is what earlier windows showed of the same sum."""
        return shown(self.measured(terms), constant=constant, sign=sign, is_certain=self._cancels(terms), past=past)

    def metric(self, name: str, model: str) -> Measured:
        """One metric of one model, measured once."""
        self._require(model)
        if (name, model) not in self._measurements:
            means = self._means(self.metric_named(name))
            self._measurements[name, model] = means.get(model) or measure(
                self.metric_named(name), self.y, self.scores[model], self.units, classes=self.classes
            )
        return self._measurements[name, model]

    @cached_property
    def pooled_units(self) -> tuple[int, ...]:
        """The number of units of each window, where rows of several are measured window by window."""
        return units_of_windows(self._by_window, self.units)

    @cached_property
    def _by_window(self) -> list[Ints]:
        return by_window(self.windows, self.units)

    def _means(self, metric: Metric) -> dict[str, Measured]:
        """A metric's mean over windows, by model. Nothing of rows of one window, and where it is undefined on one of them for
        any of the models: all of them are then measured on all rows together, so that they can be compared."""

        def alone(index: Ints, role: str) -> Measured:
            units = Units.of(self.codes[index], is_ordered=self.is_ordered)
            return measure(metric, self.y[index], self.scores[role][index], units, classes=self.classes)

        if not self._by_window:
            return {}
        means = {role: mean_over(self._by_window, partial(alone, role=role), self.units) for role in self.scores}
        return {} if any(mean.note for mean in means.values()) else means

    def influence(self, name: str, model: str) -> tuple[float, Floats, str]:
        """A metric: its value and the sums of its influence function per unit of the whole window, with a note when it is
        undefined here."""
        measured = self.metric(name, model)
        return measured.value, self.by_code(measured.parts), measured.note

    def by_code(self, values: Floats) -> Floats:
        """Values of the units that are present, each at the place of its code; 0 for the others."""
        padded = np.zeros(int(self.codes.max()) + 1)
        padded[np.unique(self.codes)] = values
        return padded

    def _measure(self, measure: Measure) -> Measured:
        if measure.kind == "disagreement":
            return self._disagreement(*measure.models)
        if measure.kind == "metric" and not measure.column:
            return self.metric(measure.metric, measure.models[0])
        raise MetricError(f"{measure}: is not measured on one set of rows")

    def _cancels(self, terms: tuple[tuple[float, Measure], ...]) -> bool:
        """Whether the sum is 0 by itself: models that scored every row alike are one model."""
        weights: dict[tuple[str, str], float] = {}
        for weight, term in terms:
            first, *others = (self._alike[model] for model in term.models)
            if term.kind != "disagreement" or others != [first]:
                weights[term.metric, first] = weights.get((term.metric, first), 0.0) + weight
        return not any(weights.values())

    @cached_property
    def _parts(self) -> dict[tuple[str, str], "Panel"]:
        return {}

    @cached_property
    def _measurements(self) -> dict[tuple[str, str], Measured]:
        return {}

    @cached_property
    def _alike(self) -> dict[str, str]:
        """For each model the first one that has the same scores."""
        return {
            name: next(other for other, scores in self.scores.items() if np.array_equal(scores, values))
            for name, values in self.scores.items()
        }

    def _disagreement(self, one: str, other: str) -> Measured:
        """The share of rows that two models decide differently."""
        for model in (one, other):
            self._require(model)
        differs = (self.decided(self.scores[one]) != self.decided(self.scores[other])).astype(np.float64)

        def share(index: Ints) -> Measured:
            part, units = differs[index], Units.of(self.codes[index], is_ordered=self.is_ordered)
            sums = units.sums(mean_influence(part))
            value = float(part.mean())
            return Measured(value=value, parts=sums, shares=units.shares, is_ordered=units.is_ordered, rows=index.size)

        return mean_over(self._by_window, share, self.units) if self._by_window else share(np.arange(self.rows))

    def decided(self, scores: Floats) -> Ints:
        """The decision by these scores for each row (n,): yes or no, or a class."""
        if self.task == "multiclass":
            return likeliest(scores)
        if self.threshold is None:
            raise MetricError("disagreement is between decisions, and the product has no decision threshold")
        return (scores >= self.threshold).astype(np.int64)

    def metric_named(self, name: str) -> Metric:
        """The metric by the product's threshold and values."""
        return metric_at(name, self.threshold, self.worth, task=self.task)

    def _require(self, model: str) -> None:
        if model not in self.scores:
            raise MetricError(f"the {model} was not scored on these rows")


def panel(
    *,
    task: Task,
    y: Column,
    scores: Mapping[str, Column],
    unit: Column,
    columns: Mapping[str, Column],
    threshold: float | None = None,
    worth: ValueSpec | None = None,
    windows: Ints | None = None,
    classes: Sequence[str] = (),
    unknown: UnknownRows | None = None,
) -> Panel:
    """Check rows and put them into a Panel. Raises MetricError for a missing or non-finite value and for unequal lengths."""
    if "candidate" not in scores:
        raise MetricError(f"scores of {sorted(scores)}: the candidate's are missing")
    pairs = {name: checked(y, s, task=task, who=name) for name, s in scores.items()}
    label = pairs["candidate"][0]
    divided = {name: as_levels(pl.Series(name, values)) for name, values in columns.items()}
    for name, values in divided.items():
        if len(values) != label.size:
            raise MetricError(f"slice {name}: {len(values)} values for {label.size} rows")
    units = units_of(unit, rows=label.size)
    return Panel(
        task=task,
        y=label,
        scores={name: s for name, (_, s) in pairs.items()},
        codes=units.codes,
        columns=divided,
        threshold=threshold,
        is_ordered=units.is_ordered,
        worth=worth,
        windows=windows,
        classes=tuple(classes),
        unknown=unknown,
    )


def is_about_means(form: ClaimForm) -> bool:
    """Whether all that a claim measures are means over rows."""
    kinds = {measure.kind for measure in form.measures}
    return "ratio" not in kinds and all(METRICS[m.metric].losses is not None for m in form.measures if m.kind == "metric")


def as_levels(values: pl.Series) -> pl.Series:
    """A column as the levels that divide rows."""
    return values.cast(pl.String).fill_null(MISSING_LEVEL)


def _groups(values: pl.Series) -> Groups:
    frame = pl.DataFrame({"level": values}).with_row_index("row")
    groups = frame.group_by("level").agg(pl.col("row"), pl.len().alias("rows")).sort(["rows", "level"], descending=[True, False])
    return {level: np.asarray(index, dtype=np.int64) for level, index, _ in groups.iter_rows()}
