"""Windows drawn from all of the past, with candidates that are worse than a margin allows: how many of them pass."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ml_assets.core.gate_lab.diagnoses import Leak, margin
from ml_assets.core.gate_lab.resampling import redrawn
from ml_assets.core.gates.bounds import shown
from ml_assets.core.gates.history import MOST_WINDOWS
from ml_assets.core.gates.levels import look_level
from ml_assets.core.gates.panel import Panel
from ml_assets.core.metrics.intervals import Measured
from ml_assets.core.metrics.spread import WindowSums
from ml_assets.services.gate_lab.model_mutants import SEED
from ml_assets.services.gate_lab.past_walk import WalkedPartition
from ml_assets.services.gate_lab.planted_truths import clustered, single, worse
from ml_assets.spec.gates import ClaimSpec

BEYOND = 1.1
"""How many margins worse the candidate is whose share of passes is counted."""
CANDIDATES = 20
"""That are planted one after another in the windows that are drawn for one margin."""


def leaks(
    steps: Sequence[WalkedPartition], *, windows: int, seed: int = SEED, tell: Callable[[str], None] = lambda _: None
) -> list[Leak]:
    """Windows of units drawn from all of the past, a week of days together: how often a candidate passes that is worse by more
    than the margin. Each learns from the product's past windows, as the next one would. Candidates take turns, because a promise
    is about all that are so much worse, and the days on which a single one fails may be lucky ones."""
    compared = [step for step in steps if step.champion]
    if not compared:
        return []
    pool, count = _pool(compared), int(np.median([np.unique(clustered(step)).size for step in compared]))
    claims = [claim for claim in single(compared[0]) if margin(claim) > 0 and "champion" in claim.form.models]
    return [_leak(claim, pool, compared, windows=windows, units=count, seed=seed, tell=tell) for claim in claims]


def _leak(
    claim: ClaimSpec,
    pool: Panel,
    steps: Sequence[WalkedPartition],
    *,
    windows: int,
    units: int,
    seed: int,
    tell: Callable[[str], None],
) -> Leak:
    gates, random, hits, hits_by_row, harms = steps[0].case.product.gates, np.random.default_rng(seed), 0, 0, []
    at, is_by_row = look_level(gates), gates.unit == "row"
    for own in np.array_split(np.arange(windows), min(CANDIDATES, windows)):
        scores, harm = worse(pool, pool.codes, claim, BEYOND * margin(claim), seed=int(random.integers(2**32)))
        harms.append(harm)
        spoilt = replace(pool, scores={**pool.scores, "candidate": scores})
        past = _past(spoilt, claim, steps)
        for number in own:
            tell(f"{claim.name}: {number} of {windows} windows drawn from the past")
            window = redrawn(spoilt, random, units=units)
            by_row = window.by_row().measured(claim.form.terms)
            parts, shares = window.units.sums(by_row.parts), window.units.shares
            by_unit = by_row if is_by_row else replace(by_row, parts=parts, shares=shares, is_ordered=window.is_ordered)
            hits += _passes(claim, by_unit, at, past)
            hits_by_row += _passes(claim, by_row, at)
    return Leak(claim.name, float(np.mean(harms)), windows, hits, hits_by_row)


def _passes(claim: ClaimSpec, measured: Measured, at: float, past: Sequence[WindowSums] = ()) -> bool:
    return shown(measured, constant=claim.form.constant, sign=claim.form.sign, past=past).p_proof <= at


def _past(pool: Panel, claim: ClaimSpec, steps: Sequence[WalkedPartition]) -> list[WindowSums]:
    """The sums of the newest past windows for a claim, one a window."""
    ends = np.cumsum([step.panel.rows for step in steps])
    windows = (pool.part(np.arange(end - step.panel.rows, end)) for step, end in zip(steps, ends, strict=True))
    sums = [window.measured(claim.form.terms).spread().sums for window in windows]
    return [window_sums for window_sums in sums if window_sums is not None][-MOST_WINDOWS:]


def _pool(steps: Sequence[WalkedPartition]) -> Panel:
    """All rows of the past with the scores of the release that served; units that are apart stay apart."""
    codes, first = [], 0
    for step in steps:
        own = np.unique(clustered(step), return_inverse=True)[1] + first
        first = int(own.max()) + 1
        codes.append(own)
    champion = np.concatenate([step.scores["champion"] for step in steps])
    y = np.concatenate([step.panel.y for step in steps])
    return replace(
        steps[0].panel, y=y, scores={"candidate": champion, "champion": champion}, codes=np.concatenate(codes), columns={}
    )
