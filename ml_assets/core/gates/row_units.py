"""Whether rows may be taken for independent units: the design effect of the calendar, measured where a block says `unit: row`.

Recorded in the verdict, so that the load of a product can say it without reading a row again.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import gammaincinv

from ml_assets.core.gates.panel import Panel
from ml_assets.core.lineage.verdict_facts import DesignFacts
from ml_assets.core.metrics.arrays import Ints
from ml_assets.core.metrics.intervals import Units
from ml_assets.spec.gates import ClaimSpec, GateSpec

MOST_EFFECT = 1.5
LEAST_UNITS = 5
"""Of fewer coarse units nothing can be told."""


def design_effect(panel: Panel, claims: Sequence[ClaimSpec], coarser: Mapping[str, Ints]) -> DesignFacts | None:
    """The greatest variance by a coarser unit (codes (n,) by its name) over that by row, of claims that are proven on all rows.
    None where no coarser unit has enough units. `low` is its one-sided 95 % bound, from the few coarse units that there are."""
    effects = [
        DesignFacts(unit=unit, claim=claim.name, effect=effect, low=effect * _least_share(count))
        for unit, codes in coarser.items()
        if (count := Units.of(codes).count) >= LEAST_UNITS
        for claim in claims
        if claim.kind == "prove" and (effect := _effect(panel, claim, codes)) is not None
    ]
    return max(effects, key=lambda design: design.low, default=None)


def _least_share(count: int) -> float:
    """The share of a variance, estimated from as many units, that the true one is at least, with 95 %."""
    freedom = count - 1
    return freedom / (2 * float(gammaincinv(freedom / 2, 0.95)))


def row_trouble(gates: GateSpec, design: DesignFacts | None) -> str:
    """Why rows may not be the unit, and what to declare; empty if they may be, or the block says why they are."""
    if design is None or design.low <= MOST_EFFECT or "unit" in gates.exceptions:
        return ""
    return (
        f"rows of one {design.unit} are alike: by {design.unit} the variance of {design.claim} is {design.effect:.1f} times that "
        f"of independent rows (at least {design.low:.1f}), so with `unit: row` bounds are too narrow; declare "
        f"`unit: {design.unit}`, or say why rows are independent: `gates: {{exceptions: {{unit: …}}}}`"
    )


def _effect(panel: Panel, claim: ClaimSpec, codes: Ints) -> float | None:
    """The variance by these codes over that by row; None of a claim about slices, and where it is undefined."""
    is_whole = not claim.for_each and all(m.kind != "ratio" and not m.column for m in claim.form.measures)
    if not is_whole or not claim.form.models <= set(panel.scores):
        return None
    measured = panel.by_row().measured(claim.form.terms)
    variance = 0.0 if measured.note else _variance(measured.parts)
    if not variance > 0:
        return None
    return _variance(Units.of(codes).sums(measured.parts)) / variance


def _variance(sums: np.ndarray) -> float:
    return float(sums.size / (sums.size - 1) * np.sum(sums**2)) if sums.size > 1 else 0.0
