"""From a walk through the past to everything that a diagnosis rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ml_assets.core.gate_lab.diagnoses import Leak, PastVerdicts
from ml_assets.core.gate_lab.power import Design, Power, design, powers
from ml_assets.core.gates.bounds import ClaimEvidence, shown
from ml_assets.core.metrics.estimates import units_of
from ml_assets.core.metrics.units import units
from ml_assets.services.gate_lab.aa_pairs import seeds
from ml_assets.services.gate_lab.past_walk import WalkedPartition
from ml_assets.services.gate_lab.planted_truths import Planted
from ml_assets.services.gate_lab.subject import MutationSubject
from ml_assets.spec.claim_grammar import ClaimForm
from resources.ledger.budget import Budget

MODELS = 3


def past(steps: Sequence[WalkedPartition], planted: Sequence[Planted], leaks: Sequence[Leak]) -> PastVerdicts:
    """Measure what is left to measure."""
    case = steps[-1].case
    return PastVerdicts(
        gates=case.product.gates,
        real=[step.verdict for step in steps],
        planted={plant.name: plant.verdicts for plant in planted},
        powers=_powers(steps),
        leaks=leaks,
        designs=_designs(steps),
        seed_spread=_seed_spread(steps[-1]),
        most_looks=max((len(window.looks) for window in Budget(case.lineage.ledger).windows(case.product)), default=0),
    )


def _powers(steps: Sequence[WalkedPartition]) -> Mapping[str, list[list[Power]]]:
    gates = steps[0].case.product.gates
    compared = [step for step in steps if step.champion]
    return {claim.name: [powers(claim, step.panel, gates.minimum, step.past) for step in compared] for claim in gates.claims}


def _designs(steps: Sequence[WalkedPartition]) -> Mapping[str, Design]:
    """The design effect of each proven claim by the next coarser calendar unit: that of a day for rows and hours, else that of
    a week; a column is held against the day. Rows without a time have no coarser unit."""
    product = steps[0].case.product
    unit = product.gates.unit
    if unit in ("week", "month") or not product.features.time:
        return {}
    coarser = "week" if unit == "day" else "day"
    effects = {}
    for claim in product.gates.claims:
        if claim.kind != "prove" or claim.for_each or any(measure.column for measure in claim.form.measures):
            continue
        tests: dict[str, list[ClaimEvidence]] = {unit: [], coarser: []}
        for step in steps:
            if claim.form.models <= set(step.panel.scores):
                for panel, into in tests.items():
                    into.append(_tested(step, claim.form, panel))
        if measured := design(tests, unit=unit, coarser=coarser):
            effects[claim.name] = measured
    return effects


def _tested(step: WalkedPartition, form: ClaimForm, unit: str) -> ClaimEvidence:
    clusters = units_of(units(step.case.frame, unit=unit, time=step.case.product.features.time), rows=step.panel.rows)
    panel = replace(step.panel, codes=clusters.codes, is_ordered=clusters.is_ordered)
    return shown(panel.measured(form.terms), constant=form.constant, sign=form.sign)


def _seed_spread(step: WalkedPartition) -> Mapping[str, float]:
    """The spread of models of one recipe and different seeds on the newest window, in each proven difference's metric."""
    claims = [
        c
        for c in step.case.product.gates.claims
        if c.kind == "prove" and c.form.models & {"champion", "anchor"} and not c.for_each
    ]
    if not claims:
        return {}
    scores = seeds(MutationSubject(step.case, Path()), count=MODELS)
    spread = {}
    for claim in claims:
        metric = claim.form.measures[0].metric
        if claim.form.measures[0].kind == "metric":
            panels = (replace(step.panel, scores={"candidate": candidate}) for candidate in scores)
            values = [panel.metric(metric, "candidate").value for panel in panels]
            spread[claim.name] = max(values) - min(values)
    return spread
