"""Worst-case bounds of a mean over rows of which some have no label: whatever those labels are (Manski 1990, Am. Econ. Rev. 80).

They inform: a claim is decided on the rows whose label is known, and core.evaluation.coverage leaves it open where too few are.
Of what is not a mean (a rank, a rate among positives) a missing label changes what every other row counts, so there are none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np

from ml_assets.core.gates.panel import Panel, is_about_means
from ml_assets.core.gates.unknown_rows import UnknownRows
from ml_assets.core.metrics.arrays import Floats
from ml_assets.spec.claim_grammar import ClaimForm, Measure

FLAT = 1e-9
"""A slope that is rounding and no slope."""
MANY_DIGITS = 10
"""From here on a number is written with four significant digits."""


@dataclass(frozen=True)
class WorstCase:
    """The least and the greatest that a sum of means over `rows` can be, of which the labels of `unknown` are not known."""

    low: float
    high: float
    unknown: int
    rows: int


def worst_case(form: ClaimForm, panel: Panel) -> WorstCase | None:
    """The worst case of what a claim measures on these rows. None where every label is known, for what is not a mean over
    rows, and where a score is missing."""
    unknown = panel.unknown
    if unknown is None or unknown.rows == 0 or not is_about_means(form) or not form.models <= set(unknown.scores):
        return None
    known = panel.measured(tuple((weight, replace(m, column="", level="")) for weight, m in form.terms))
    least, most = _extremes(form, panel, unknown)
    if known.note or not isfinite(known.value) or np.isnan(least) or np.isnan(most):
        return None
    every = panel.rows + unknown.rows
    low, high = ((known.value * panel.rows + sum_) / every for sum_ in (least, most))
    return WorstCase(low, high, unknown.rows, every)


def worst_case_sentence(bounds: WorstCase | None, sign: str, limit: float) -> Iterator[str]:
    """The worst case in words, and whether it could break the limit; nothing where there is none."""
    if bounds is None:
        return
    low, high = (f"{end:.4f}" if abs(end) < MANY_DIGITS else f"{end:.4g}" for end in (bounds.low, bounds.high))
    is_kept = bounds.low > limit if sign == ">" else bounds.high < limit
    consequence = "which keeps" if is_kept else "which may break"
    rows = f"{bounds.unknown:,} of {bounds.rows:,} rows without a known outcome"
    between = {
        (True, True): f"the estimate is {low} to {high}",
        (True, False): f"the estimate is {low} or more",
        (False, True): f"the estimate is {high} or less",
        (False, False): "nothing bounds the estimate",
    }[isfinite(bounds.low), isfinite(bounds.high)]
    if bounds.low == bounds.high:
        yield f"with the {rows}, which need none, the estimate is {low}"
    else:
        yield f"{rows}: whatever they are, {between}, {consequence} {sign} {limit:g}"


def _extremes(form: ClaimForm, panel: Panel, unknown: UnknownRows) -> tuple[float, float]:
    """The least and the greatest sum over rows of what they contribute, over the labels that each may have."""

    def contributed(y: Floats) -> Floats:
        return np.asarray(sum(weight * _losses(measure, panel, unknown, y) for weight, measure in form.terms))

    if panel.task != "regression":
        labels = range(panel.scores["candidate"].shape[1] if panel.task == "multiclass" else 2)
        values = np.stack([contributed(np.full(unknown.rows, float(label))) for label in labels])
        return float(values.min(axis=0).sum()), float(values.max(axis=0).sum())
    # of a regression it is made of straight lines that bend where the label is one of the scores
    scores = np.stack([unknown.scores[model] for model in sorted(form.models)])
    values = np.stack([contributed(row) for row in scores])
    left, right = scores.min(axis=0), scores.max(axis=0)
    rising = np.concatenate([contributed(left - 2) - contributed(left - 1), contributed(right + 2) - contributed(right + 1)])
    low = -inf if (rising < -FLAT).any() else float(values.min(axis=0).sum())
    high = inf if (rising > FLAT).any() else float(values.max(axis=0).sum())
    return low, high


def _losses(measure: Measure, panel: Panel, unknown: UnknownRows, y: Floats) -> Floats:
    """The contribution of each row to a mean if it has these labels: (n,)."""
    if measure.kind == "disagreement":
        one, other = (panel.decided(unknown.scores[model]) for model in measure.models)
        return np.asarray(one != other, dtype=np.float64)
    losses = panel.metric_named(measure.metric).losses
    assert losses is not None
    return losses(y, unknown.scores[measure.models[0]])
