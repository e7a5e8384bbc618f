"""Faults of a `gates:` block, shown by the past and by planted truths: one sentence each, with its number."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ml_assets.core.gate_lab.power import Design, Power, typical
from ml_assets.core.gate_lab.resampling import clopper_pearson
from ml_assets.core.gates.levels import look_level
from ml_assets.core.gates.verdict import Verdict
from ml_assets.spec.gates import ClaimSpec, GateSpec

Code: TypeAlias = Literal[
    "VACUOUS", "COIN-FLIP", "UNDER-POWERED", "LEAKY MARGIN", "CREEP", "WRONG UNIT", "BUDGET", "NEVER FIRED", "ALWAYS FIRED",
    "SEED-SIZED MARGIN",
]  # fmt: skip
USELESS = ("shuffled labels", "constant")
"""Planted candidates that know nothing of the label."""
SAME = "A/A identical"
MOST_EFFECT = 1.5
CERTAIN = 0.2
"""At such a level a claim follows the sign of noise."""


@dataclass(frozen=True)
class Diagnosis:
    """One fault of the block. An error fails a pipeline; a warning is for the owner to weigh. `number` is what it rests on."""

    code: Code
    claim: str
    message: str
    number: float
    is_error: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as JSON values; the message is called `told` there."""
        severity = "error" if self.is_error else "warning"
        return {"code": self.code, "claim": self.claim, "severity": severity, "told": self.message, "number": self.number}


@dataclass(frozen=True)
class Leak:
    """The number of times that a candidate that is `harm` worse, which is more than the margin, passed the claim; by the declared
    unit and by row."""

    claim: str
    harm: float
    tries: int
    hits: int
    hits_by_row: int


@dataclass(frozen=True, kw_only=True)
class PastVerdicts:
    """The results of a block on the past. `real` and `planted` are verdicts, the latter by name of what was planted."""

    gates: GateSpec
    real: Sequence[Verdict]
    planted: Mapping[str, Sequence[Verdict]]
    powers: Mapping[str, Sequence[Sequence[Power]]] = field(default_factory=dict)
    leaks: Sequence[Leak] = ()
    designs: Mapping[str, Design] = field(default_factory=dict)
    seed_spread: Mapping[str, float] = field(default_factory=dict)
    most_looks: int = 0

    @property
    def promotions(self) -> int:
        """The number of past candidates that the block accepts."""
        return sum(verdict.is_accept for verdict in self.real)

    @property
    def relative(self) -> list[ClaimSpec]:
        """The claims that prove something about candidate and champion or anchor."""
        return [c for c in self.gates.claims if c.kind == "prove" and c.form.models & {"champion", "anchor"}]


def diagnose(past: PastVerdicts) -> list[Diagnosis]:
    """Every fault that shows, errors first."""
    diagnoses = [
        *_vacuous(past),
        *_powerless(past),
        *_leaky(past),
        *_creep(past),
        *_wrong_unit(past),
        *_budget(past),
        *_fired(past),
        *_seed_sized(past),
    ]
    return sorted(diagnoses, key=lambda diagnosis: not diagnosis.is_error)


def margin(claim: ClaimSpec) -> float:
    """The margin by which a relative claim lets a candidate be worse; negative when it must be better."""
    return -claim.form.constant if claim.form.sign == ">" else claim.form.constant


def _vacuous(past: PastVerdicts) -> Iterator[Diagnosis]:
    for name in USELESS:
        verdicts = past.planted.get(name, ())
        if accepted := sum(verdict.is_accept for verdict in verdicts):
            message = f"{name} are accepted in {accepted} of {len(verdicts)} partitions: the block proves nothing"
            yield Diagnosis("VACUOUS", "all", message, accepted / len(verdicts))
    for claim in past.gates.claims:
        if claim.kind != "prove":
            continue
        passed = {name: _outcomes(past.planted.get(name, ()), claim.name).count("PASS") for name in USELESS}
        name = max(passed, key=lambda useless: passed[useless])
        if (count := len(past.planted.get(name, ()))) and 2 * passed[name] > count:
            message = f"passes for {name} in {passed[name]} of {count} partitions: by itself it proves nothing"
            yield Diagnosis("VACUOUS", claim.name, message, passed[name] / count, is_error=False)


def _powerless(past: PastVerdicts) -> Iterator[Diagnosis]:
    at = look_level(past.gates)
    for claim in past.gates.claims:
        tests = [min(powers, key=lambda power: power.passes(at)) for powers in past.powers.get(claim.name, ()) if powers]
        if claim.kind != "prove" or not tests:
            continue
        chance = typical([test.passes(at) for test in tests])
        if at >= CERTAIN and 1 / 4 <= chance <= 3 / 4:
            message = f"a candidate that is no different passes in {_percent(chance)}, at level {_percent(at)}: noise decides"
            yield Diagnosis("COIN-FLIP", claim.name, message, chance)
        elif chance < 1 / 2:
            yield Diagnosis("UNDER-POWERED", claim.name, _needs(tests, at, chance, past.gates.unit), chance)


def _needs(tests: Sequence[Power], at: float, chance: float, unit: str) -> str:
    inside = typical([test.advantage for test in tests])
    count = round(typical([float(test.units) for test in tests]))
    message = f"a candidate that is no different is let through in {_percent(chance)} only"
    if inside <= 0:
        return f"{message}: the claim wants it better by {-inside:.3g}, which is not a claim about not being worse"
    needed = sorted(units for test in tests if (units := test.units_for(at, 0.8)) is not None)
    more = f"{needed[len(needed) // 2]:,} {unit}s would be needed for 80 %" if needed else f"no number of {unit}s would do"
    return f"{message}: {count} {unit}s are too few for {inside:.3g} at level {_percent(at)}; {more}"


def _leaky(past: PastVerdicts) -> Iterator[Diagnosis]:
    at = look_level(past.gates)
    for leak in past.leaks:
        share = leak.hits / leak.tries
        if clopper_pearson(leak.hits, leak.tries)[0] > at:
            message = f"a candidate worse by {leak.harm:.3g} passes in {_percent(share)}, promised is at most {_percent(at)}"
            yield Diagnosis("LEAKY MARGIN", leak.claim, message, share)


def _creep(past: PastVerdicts) -> Iterator[Diagnosis]:
    anchored = {m.metric for c in past.gates.claims if c.kind == "prove" and "anchor" in c.form.models for m in c.form.measures}
    for claim in past.relative:
        metric = claim.form.measures[0].metric
        if "champion" in claim.form.models and metric not in anchored and not claim.for_each and (lost := margin(claim)) > 0:
            message = (
                f"no claim compares {metric} with the anchor, so margins add up: ten promotions may lose {10 * lost:.3g} "
                f"(the past would have had {past.promotions})"
            )
            # what guards another metric than the first one is the owner's to weigh
            yield Diagnosis("CREEP", claim.name, message, lost, is_error=metric == past.gates.metric)


def _wrong_unit(past: PastVerdicts) -> Iterator[Diagnosis]:
    for name, design in past.designs.items():
        if design.effect > MOST_EFFECT:
            message = (
                f"by {design.unit} the variance is {design.effect:.1f} times that by {past.gates.unit} "
                f"(at least {design.low:.1f}): {past.gates.unit}s are not independent, and bounds are too narrow"
            )
            yield Diagnosis("WRONG UNIT", name, message, design.effect, is_error=design.low > MOST_EFFECT)


def _budget(past: PastVerdicts) -> Iterator[Diagnosis]:
    budget = past.gates.budget
    at = look_level(past.gates)
    if past.most_looks > budget.looks:
        message = f"a window was asked {past.most_looks} times, and {budget.looks} looks are declared: it would have been retired"
        yield Diagnosis("BUDGET", "all", message, past.most_looks)
    for claim in past.relative:
        tests = [min(powers, key=lambda power: power.passes(at)) for powers in past.powers.get(claim.name, ()) if powers]
        chance, alone = (typical([test.passes(test_level) for test in tests]) for test_level in (at, budget.alpha))
        if tests and margin(claim) > 0 and chance < 1 / 2 and alone > chance + 0.1:
            message = (
                f"at the level of one look, {_percent(at)}, a candidate that is no different passes in {_percent(chance)}; with "
                f"one look of {_percent(budget.alpha)} in {_percent(alone)} (a window was asked at most {past.most_looks} times)"
            )
            yield Diagnosis("BUDGET", claim.name, message, at, is_error=chance < 0.05)


def _fired(past: PastVerdicts) -> Iterator[Diagnosis]:
    everything = [*past.real, *(verdict for verdicts in past.planted.values() for verdict in verdicts)]
    for claim in past.gates.claims:
        real, outcomes = _outcomes(past.real, claim.name), _outcomes(everything, claim.name)
        if outcomes and set(outcomes) == {"PASS"}:
            message = f"passed all of {len(outcomes)} comparisons, sabotage included: it decides nothing"
            yield Diagnosis("NEVER FIRED", claim.name, message, 0, is_error=False)
        if len(real) > 1 and "PASS" not in real:
            same = _outcomes(past.planted.get(SAME, ()), claim.name)
            too = "; it stops the release that serves against itself too" if same and "PASS" not in same else ""
            message = f"let none of {len(real)} past candidates through{too}"
            yield Diagnosis("ALWAYS FIRED", claim.name, message, 1, is_error=bool(too))


def _seed_sized(past: PastVerdicts) -> Iterator[Diagnosis]:
    for claim in past.relative:
        spread, allowed = past.seed_spread.get(claim.name), margin(claim)
        if spread is not None and allowed < spread and len(claim.form.terms) == 2:
            message = f"the margin of {allowed:.3g} is smaller than {spread:.2g}, by which seeds of one recipe differ"
            yield Diagnosis("SEED-SIZED MARGIN", claim.name, message, spread, is_error=False)


def _outcomes(verdicts: Sequence[Verdict], name: str) -> list[str]:
    return [claim.outcome for verdict in verdicts for claim in verdict.claims if claim.name == name]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
