"""From a claim to what is tested: one hypothesis, one per level of its columns or pair of groups; and back to its units."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from math import exp, isfinite, log, nan

import numpy as np

from ml_assets.core.gates.bounds import UNDEFINED, ClaimEvidence, shown
from ml_assets.core.gates.panel import Groups, MinimumLike, Panel
from ml_assets.core.gates.pooled import present_of
from ml_assets.core.gates.worst_case import WorstCase, worst_case
from ml_assets.core.metrics.arrays import Floats
from ml_assets.core.metrics.intervals import Measured
from ml_assets.core.metrics.spread import WindowSums
from ml_assets.spec.claim_grammar import ClaimForm, Measure
from ml_assets.spec.claim_limits import limits

REST = "(the others)"
WITHOUT_LABELS = frozenset({"selection_rate"})
MOST_LOG = 690.0
"""Of a ratio: beyond it there is no finite number."""
Expected = Mapping[str, Collection[str]]
"""Levels by column that a window of this length is known to hold."""
Past = Mapping[str, Sequence[WindowSums]]
"""The evidence of earlier windows for the same claim, by what each hypothesis was about."""


@dataclass(frozen=True)
class Hypothesis:
    """One test. `on_log` says that its numbers are logarithms of ratios; `where` is what it is about, "" for all rows."""

    shown: ClaimEvidence
    rows: int
    where: str = ""
    on_log: bool = False


def in_claim_units(number: float, form: ClaimForm) -> float:
    """A number of a test in the units of its claim."""
    return exp(min(number, MOST_LOG)) if form.measures[0].kind == "ratio" and isfinite(number) else number


def bounds_in_claim_units(test: ClaimEvidence, form: ClaimForm, level: float) -> tuple[float, float]:
    """Both one-sided bounds in the units of the claim, cut at what its measures can be."""
    least, most = limits(form)
    low, high = in_claim_units(test.value - test.below(level), form), in_claim_units(test.value + test.above(level), form)
    return (max(low, least), min(high, most)) if test.is_defined else (nan, nan)


@dataclass
class Hypotheses:
    """The hypotheses of one claim, and what could not be asked: levels that are `missing` and groups or slices that are
    `too_small`, which both leave the claim open. `worst`: the worst case of each, by what it is about."""

    hypotheses: list[Hypothesis] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    too_small: list[str] = field(default_factory=list)
    worst: dict[str, WorstCase | None] = field(default_factory=dict)


def hypotheses_of(
    form: ClaimForm, columns: Sequence[str], panel: Panel, minimum: MinimumLike, expected: Expected, *, past: Past | None = None
) -> Hypotheses:
    """The hypotheses of a claim on these rows: `columns` are those of its for_each."""
    past = past or {}
    first = form.measures[0]
    if first.kind == "ratio":
        return _between_groups(first, form, panel, minimum, expected, past=past)
    if not columns:
        return Hypotheses([_on_all_rows(form, panel, minimum, past)], worst={"": _worst_on_all_rows(form, panel)})
    tests = Hypotheses()
    for column in columns:
        levels = set(expected.get(column, ()))
        tests.missing += [f"{column}={level}" for level in sorted(levels - set(panel.groups[column]))]
        _of_each_level(tests, form, column, panel, minimum, past=past)
    return tests


def _worst_on_all_rows(form: ClaimForm, panel: Panel) -> WorstCase | None:
    """That of a claim about all rows; nothing of one that names a slice."""
    return None if any(measure.column for measure in form.measures) else worst_case(form, panel)


def _on_all_rows(form: ClaimForm, panel: Panel, minimum: MinimumLike, past: Past) -> Hypothesis:
    """The claim as it is written, on all rows, on those of the one slice that it names, or between slices."""
    named = {(measure.column, measure.level) for measure in form.measures}
    if named == {("", "")}:
        return Hypothesis(panel.tested(form.terms, constant=form.constant, sign=form.sign, past=past.get("", ())), panel.rows)
    if len(named) == 1:
        ((column, level),) = named
        part = panel.of_level(column, level)
        where = f"{column}={level}"
        lacks = "it has no row" if part is None else part.lacks(minimum, is_labelled=needs_labels(form))
        if part is None or lacks:
            return Hypothesis(_undefined(f"{where}: {lacks}", form), 0 if part is None else part.rows, where)
        terms = tuple((weight, replace(measure, column="", level="")) for weight, measure in form.terms)
        test = part.tested(terms, constant=form.constant, sign=form.sign, past=past.get(where, ()))
        return Hypothesis(test, part.rows, where)
    return _between_slices(form, panel, minimum, past)


def needs_labels(form: ClaimForm) -> bool:
    """Whether what is measured depends on labels: the share of rows that are decided positive, or decided differently, does
    not."""
    return any(measure.kind != "disagreement" and measure.metric not in WITHOUT_LABELS for measure in form.measures)


def _between_slices(form: ClaimForm, panel: Panel, minimum: MinimumLike, past: Past) -> Hypothesis:
    """A sum over different slices: not paired by row, but by unit."""
    total, shares, value, notes = np.zeros(panel.units.count), np.zeros(panel.units.count), 0.0, []
    for weight, measure in form.terms:
        part = panel.of_level(measure.column, measure.level) if measure.column else panel
        lacks = "it has no row" if part is None else part.lacks(minimum, is_labelled=needs_labels(form))
        if part is None or lacks:
            notes.append(f"{measure.column}={measure.level}: {lacks}")
            continue
        one, sums, note = part.influence(measure.metric, measure.models[0])
        value += weight * one
        total[: sums.size] += weight * sums
        shares = np.maximum(shares, _shares(part, shares.size))
        notes += [note] if note else []
    measured = _summed(value, total, shares, panel, note="; ".join(notes))
    return Hypothesis(shown(measured, constant=form.constant, sign=form.sign, past=past.get("", ())), panel.rows)


def _undefined(note: str, form: ClaimForm) -> ClaimEvidence:
    return ClaimEvidence(nan, UNDEFINED, form.constant, form.sign, note)


def _shares(part: Panel, width: int) -> Floats:
    """The share of the rows of a part that each unit of the whole window holds: (width,)."""
    shares = part.by_code(part.units.shares)
    return np.pad(shares, (0, width - shares.size))


def _summed(value: float, sums: Floats, shares: Floats, panel: Panel, *, note: str) -> Measured:
    """A sum over parts of the rows. A unit counts by the greatest share that it holds of any: that is never too few."""
    present = shares > 0
    return Measured(
        value=nan if note else value,
        parts=sums[present],
        shares=shares[present],
        is_ordered=panel.is_ordered,
        rows=panel.rows,
        note=note,
        pooled=present_of(panel.pooled_units, present, sums),
    )


def _of_each_level(tests: Hypotheses, form: ClaimForm, column: str, panel: Panel, minimum: MinimumLike, *, past: Past) -> None:
    """One hypothesis for each level, and one for all that are too small, so that no row is left out. Where even these are too few
    together, the smallest level that is large enough is taken with them; it is judged by itself all the same."""
    is_labelled = needs_labels(form)
    judged, rest = _enough(panel, column, minimum, is_labelled=is_labelled)
    for level, part in judged.items():
        where = f"{column}={level}"
        result = part.tested(form.terms, constant=form.constant, sign=form.sign, past=past.get(where, ()))
        tests.hypotheses.append(Hypothesis(result, part.rows, where))
        tests.worst[where] = worst_case(form, part)
    if not rest:
        return
    others, name = _together(panel, rest), f"{column}={REST}: {', '.join(rest)}"
    if judged and others.lacks(minimum, is_labelled=is_labelled):
        joined = min(judged, key=lambda level: judged[level].rows)
        others, name = _together(panel, {**rest, joined: panel.groups[column][joined]}), f"{name}, with {joined}"
    if lacks := others.lacks(minimum, is_labelled=is_labelled):
        tests.too_small.append(f"{name}: {others.rows:,} rows, {lacks}")
        return
    result = others.tested(form.terms, constant=form.constant, sign=form.sign, past=past.get(name, ()))
    tests.hypotheses.append(Hypothesis(result, others.rows, name))


def _together(panel: Panel, levels: Groups) -> Panel:
    """The rows of these levels, in the order of the panel."""
    return panel.part(np.sort(np.concatenate(list(levels.values()))))


def _enough(panel: Panel, column: str, minimum: MinimumLike, *, is_labelled: bool) -> tuple[dict[str, Panel], Groups]:
    """The levels that have the minimum, and the row numbers of those that do not."""
    judged: dict[str, Panel] = {}
    rest: Groups = {}
    for level, index in panel.groups[column].items():
        part = panel.of_level(column, level)
        if part is None or part.lacks(minimum, is_labelled=is_labelled):
            rest[level] = index
        else:
            judged[level] = part
    return judged, rest


def _between_groups(
    measure: Measure, form: ClaimForm, panel: Panel, minimum: MinimumLike, expected: Expected, *, past: Past
) -> Hypotheses:
    """metric(one group) / metric(another) for every ordered pair, on the log scale by the delta method: the smallest ratio is
    over the constant if and only if all of them are. A group that is too small leaves the claim open: it may be the one."""
    is_labelled = needs_labels(form)
    judged, rest = _enough(panel, measure.column, minimum, is_labelled=is_labelled)
    levels = set(expected.get(measure.column, ()))
    tests = Hypotheses(missing=[f"{measure.column}={level}" for level in sorted(levels - set(panel.groups[measure.column]))])
    for level, index in rest.items():
        group = f"{measure.column}={level}: {panel.part(index).lacks(minimum, is_labelled=is_labelled)}"
        tests.too_small.append(group)
    if len(judged) < 2:
        tests.too_small.append(f"{measure.column}: {len(judged)} groups have the minimum, and a ratio needs two")
        return tests
    width = panel.units.count
    rates = {level: _log_rate(measure, part, width) for level, part in judged.items()}
    constant = log(form.constant) if form.constant > 0 else -np.inf
    for one, other in permutations(judged, 2):
        where, difference = f"{measure.column}: {one} / {other}", _difference(rates[one], rates[other], panel)
        test = shown(difference, constant=constant, sign=form.sign, past=past.get(where, ()))
        tests.hypotheses.append(Hypothesis(test, judged[one].rows + judged[other].rows, where, on_log=True))
    return tests


@dataclass(frozen=True)
class _LogRate:
    value: float
    sums: Floats
    shares: Floats
    note: str


def _log_rate(measure: Measure, part: Panel, width: int) -> _LogRate:
    value, sums, note = part.influence(measure.metric, measure.models[0])
    sums, shares = np.pad(sums, (0, width - sums.size)), _shares(part, width)
    if not note and not value > 0:
        note = f"{measure.metric} of a group is {value:g}, so its ratio is undefined"
    return _LogRate(nan, sums, shares, note) if note else _LogRate(log(value), sums / value, shares, "")


def _difference(one: _LogRate, other: _LogRate, panel: Panel) -> Measured:
    shares = np.maximum(one.shares, other.shares)
    return _summed(one.value - other.value, one.sums - other.sums, shares, panel, note=one.note or other.note)


def levels_expected(panel_columns: Mapping[str, Groups], codes: np.ndarray, minimum: MinimumLike) -> Iterator[tuple[str, str]]:
    """(column, level) of each level that rows in at least the minimum of units have: what a window like it should hold too."""
    for column, groups in panel_columns.items():
        for level, index in groups.items():
            if np.unique(codes[index]).size >= minimum.units:
                yield column, level
