"""Does the error rate hold on these rows? A stored pair is judged again and again on resampled units, at the very boundary.

Each `prove` claim's constant is put where the pair's own difference is, so that the claim just fails to hold: it must then be let
through no more often than the level. Belongs here: resampling and counting. Does not: finding rows (cli.gates.verify).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri

from ml_assets.core.gate_lab.resampling import clopper_pearson, redrawn
from ml_assets.core.gates.claims import judge_claim
from ml_assets.core.gates.panel import Panel
from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.metrics.intervals import Units
from ml_assets.core.metrics.spread import USUAL_CORRELATION, inflation
from ml_assets.spec.claim_grammar import ClaimForm
from ml_assets.spec.gates import ClaimSpec, MinimumSpec

CONFIDENCE = 0.99
MOST_DESIGN_EFFECT = 1.5
"""Rows may be called independent up to this ratio of variances."""
CALENDAR = ("hour", "day", "week", "month")
MANY = 1000
NO_MINIMUM = MinimumSpec(units=2, positives=1, negatives=1)
Tell = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """The number of times that a claim that just fails to hold was proven. `low`, `high`: Clopper-Pearson at 99 %."""

    claim: str
    text: str
    constant: float
    samples: int
    accepted: int
    level: float

    @property
    def share(self) -> float:
        """The share of the samples that were accepted."""
        return self.accepted / self.samples

    @property
    def interval(self) -> tuple[float, float]:
        """The Clopper-Pearson interval of the share, at 99 %."""
        return clopper_pearson(self.accepted, self.samples, confidence=CONFIDENCE)

    @property
    def holds(self) -> bool:
        """Whether what was seen is compatible with the level."""
        return self.interval[0] <= self.level


@dataclass(frozen=True, kw_only=True)
class DesignEffect:
    """The variance of a claim's estimate clustered by `unit`, over that of independent rows."""

    unit: str
    units: int
    claim: str
    effect: float

    @property
    def is_large(self) -> bool:
        """Whether it is over 1.5 and over what 99 of 100 windows of independent rows show: chi^2 / (units - 1)."""
        return self.effect > max(MOST_DESIGN_EFFECT, float(chdtri(self.units - 1, 0.01)) / (self.units - 1))


def provable(claims: Sequence[ClaimSpec], panel: Panel) -> list[ClaimSpec]:
    """The claims that can be put at their boundary: proven on all rows, of models that were scored."""
    return [
        claim
        for claim in claims
        if claim.kind == "prove"
        and not claim.for_each
        and claim.form.models <= set(panel.scores)
        and all(measure.kind in ("metric", "disagreement") and not measure.column for measure in claim.form.measures)
    ]


def at_boundary(
    panel: Panel, claims: Sequence[ClaimSpec], *, level: float, units: int, samples: int, seed: int, tell: Tell = lambda _: None
) -> list[Boundary]:
    """Judge `samples` windows of `units` whole units, drawn from the panel's in blocks, each claim at its pool value."""
    boundary_claims = [at_truth(claim, panel) for claim in claims]
    accepted = [0] * len(claims)
    for number, window in enumerate(resampled(panel, units=units, samples=samples, seed=seed)):
        for place, claim in enumerate(boundary_claims):
            judged = judge_claim(claim, window, level=level, minimum=NO_MINIMUM, expected={})
            accepted[place] += judged.outcome == "PASS"
        tell(number + 1)
    return [
        Boundary(claim=c.name, text=c.text, constant=c.form.constant, samples=samples, accepted=count, level=level)
        for c, count in zip(boundary_claims, accepted, strict=True)
    ]


def at_truth(claim: ClaimSpec, panel: Panel) -> ClaimSpec:
    """The claim with the value that it has on all rows in the place of its constant, so that it just fails to hold there."""
    form, value = claim.form, panel.measured(claim.form.terms).value
    left = " ".join(f"{'-' if weight < 0 else '+'} {abs(weight)!r} * {measure}" for weight, measure in form.terms)
    return ClaimSpec(name=claim.name, prove=f"{left.removeprefix('+ ')} {form.sign} {value!r}")


def resampled(panel: Panel, *, units: int, samples: int, seed: int) -> Iterator[Panel]:
    """Windows of `units` units of the panel, drawn in blocks with replacement; one drawn twice is two units."""
    random = np.random.default_rng(seed)
    for _ in range(samples):
        yield redrawn(panel, random, units=units)


def design_effects(panel: Panel, claims: Sequence[ClaimSpec], candidates: Mapping[str, Ints]) -> list[DesignEffect]:
    """For each candidate unit (codes by row) and claim: variance by unit / variance by row. Units of which there are fewer
    than two are left out."""
    effects = []
    for claim in claims:
        influence = _row_influence(panel, claim.form)
        if influence is None or not (by_row := _variance(influence, np.arange(influence.size))) > 0:
            continue
        for unit, codes in candidates.items():
            count = Units.of(codes).count
            if count > 1:
                effect = _variance(influence, codes) / by_row
                effects.append(DesignEffect(unit=unit, units=count, claim=claim.name, effect=effect))
    return effects


def _row_influence(panel: Panel, form: ClaimForm) -> Floats | None:
    measured = panel.by_row().measured(form.terms)
    return None if measured.note else measured.parts


def _variance(influence: Floats, codes: Ints) -> float:
    units = Units.of(codes)
    return float(units.count / (units.count - 1) * np.sum(units.sums(influence) ** 2))


def wrong_units(effects: Sequence[DesignEffect], *, unit: str) -> list[DesignEffect]:
    """The design effects that speak against the declared unit: coarser calendar units, or any for `row`, by which the variance is
    greater than the declared one and the usual correlation of neighbours explain."""
    declared = {effect.claim: effect.effect for effect in effects if effect.unit == unit} if unit != "row" else {}
    coarser = CALENDAR[CALENDAR.index(unit) + 1 :] if unit in CALENDAR else ()
    if unit == "row":
        return [effect for effect in effects if effect.is_large]
    explained = inflation(USUAL_CORRELATION, MANY)
    against = (
        replace(effect, effect=effect.effect / declared[effect.claim] / explained)
        for effect in effects
        if effect.unit in coarser and declared.get(effect.claim, 0) > 0
    )
    return [effect for effect in against if effect.is_large]
