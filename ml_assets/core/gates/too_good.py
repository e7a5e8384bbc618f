"""Too good to be true: a gain over the champion that earlier gains do not let one expect. A leak looks like that.

Belongs here: the gain of a candidate, and how surprising it is. Does not: what follows (core.release.clearance holds the
candidate for a person).
"""

from collections.abc import Sequence
from math import isfinite, sqrt

import numpy as np

from ml_assets.core.gates.panel import Panel
from ml_assets.core.lineage.verdict_facts import GainFacts, VerdictFacts
from ml_assets.core.metrics.registry import metric_at

LEAST_PAST = 4
"""Earlier gains without which nothing is surprising."""
SURPRISING = 0.005
PRIOR_FREEDOM = 4
"""The weight of the errors of the gains themselves next to the spread of the earlier ones, in degrees of freedom."""
MOST_UNITS = 5000


def gain(panel: Panel, metric: str, *, unit: str) -> GainFacts | None:
    """The candidate's gain over the champion within units, on average over those in which the metric is defined:
    what makes a unit easy or hard for both of them is not in it. None without a champion, for a metric that has no better side,
    and with fewer than 2 or more than MOST_UNITS units."""
    measured = metric_at(metric, panel.threshold, panel.worth, task=panel.task)
    side = {"greatest": 1.0, "least": -1.0}.get(measured.best)
    if side is None or "champion" not in panel.scores or not 2 <= panel.units.count <= MOST_UNITS:
        return None
    order = np.argsort(panel.codes, kind="stable")
    at = np.flatnonzero(np.diff(panel.codes[order])) + 1
    gains = []
    with np.errstate(divide="ignore", invalid="ignore"):  # of a unit of one class, for one
        for rows in np.split(order, at):
            values = [measured.value(panel.y[rows], panel.scores[role][rows], None) for role in ("candidate", "champion")]
            gains.append(side * (values[0] - values[1]))
    known = np.asarray([value for value in gains if isfinite(value)])
    if known.size < 2:
        return None
    return GainFacts(metric=metric, unit=unit, value=float(known.mean()), error=float(known.std(ddof=1) / sqrt(known.size)))


def earlier_gains(verdicts: Sequence[VerdictFacts], *, metric: str, unit: str) -> list[GainFacts]:
    """The gains of these verdicts that are of the same metric and unit."""
    return [v.gain for v in verdicts if v.gain is not None and (v.gain.metric, v.gain.unit) == (metric, unit)]


def telling(gains: Sequence[GainFacts]) -> list[GainFacts]:
    """The gains that tell how gains vary: not those of candidates that scored as the champion did, or better or worse by the
    same in every unit. Of these, any difference at all would be a surprise."""
    return [gain for gain in gains if gain.error > 0]


def too_good(now: GainFacts | None, earlier: Sequence[GainFacts]) -> str:
    """Why a gain is too good to be true; empty if it isn't, or nobody can tell yet: with fewer than LEAST_PAST earlier ones that
    tell how gains vary.

    It is held against the prediction interval of the earlier ones (Student's t), whose variance is moderated by the errors of all
    of them as in Smyth (2004), so that a few earlier gains that happen to be alike raise no alarm.
    """
    from scipy import stats

    earlier = telling(earlier)
    if now is None or len(earlier) < LEAST_PAST:
        return ""
    values = np.asarray([effect.value for effect in earlier])
    prior = float(np.mean([effect.error**2 for effect in (*earlier, now)]))
    freedom = PRIOR_FREEDOM + values.size - 1
    variance = (PRIOR_FREEDOM * prior + (values.size - 1) * float(values.var(ddof=1))) / freedom
    spread = sqrt(variance * (1 + 1 / values.size))
    p = float(stats.t.sf((now.value - values.mean()) / spread, freedom))
    if p >= SURPRISING:
        return ""
    return (
        f"too good to be true: within {now.unit}s it gains {now.value:.4f} {now.metric} on the champion, where {values.size} "
        f"earlier candidates gained {values.mean():.4f} ± {sqrt(variance):.4f} (p {p:.1g}); does a feature know the outcome? "
        f"Look at it, then `ml-assets approve` or `ml-assets refuse`"
    )
