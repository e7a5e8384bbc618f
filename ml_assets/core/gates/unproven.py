"""The reasons why a recorded verdict promotes nothing: what release and endpoint check before they trust one.

Belongs here: a stored verdict against what product.yaml declares now. Does not: giving verdicts (verdict.py).
"""

from collections.abc import Iterator, Mapping

from ml_assets.core.gates.levels import look_level
from ml_assets.core.gates.recorded import is_proven_at, outcome_again
from ml_assets.core.gates.verdict import about_the_anchor, gate_digest, guarantee
from ml_assets.core.lineage.verdict_facts import ClaimFacts, VerdictFacts
from ml_assets.spec.gates import ClaimSpec, GateSpec
from ml_assets.spec.product import Product


def unproven(product: Product, verdict: VerdictFacts, *, has_champion: bool) -> list[str]:
    """The reasons why a recorded verdict promotes nothing: every required claim must be there, for these gates, with
    numbers from which a PASS follows again. Empty if it does."""
    return list(_reasons(product, verdict, has_champion=has_champion))


def _reasons(product: Product, verdict: VerdictFacts, *, has_champion: bool) -> Iterator[str]:
    gates = product.gates
    if verdict.decision != "ACCEPT":
        yield f"the verdict is {verdict.decision}: {'; '.join(verdict.reasons)}"
    if verdict.gate != gate_digest(product):
        yield "the verdict was given for other gates than product.yaml declares now"
    if verdict.is_first is not (not has_champion):
        yield "the verdict is that of a first release" if has_champion else "the verdict compares with a champion"
    applying = gates.claims_that_apply(has_champion=has_champion)
    for name, expected in _declared_values(gates, applying, verdict).items():
        if (value := getattr(verdict, name)) != expected:
            yield f"the verdict says {name} {value!r}, and product.yaml {expected!r}"
    if verdict.windows > (most := gates.pooled.windows if gates.pooled else 1):
        yield f"the verdict pools {verdict.windows} windows, and product.yaml allows {most}"
    names = [claim.name for claim in verdict.claims]
    if sorted(names) != sorted(claim.name for claim in applying):
        yield f"the verdict judges {', '.join(names) or 'nothing'}, not each claim of product.yaml once"
    judged = dict(zip(names, verdict.claims, strict=True))
    for claim in applying:
        yield from _claim_reasons(claim, judged.get(claim.name), gates)
    if verdict.is_better and has_champion and not _is_better(gates, judged):
        yield "the verdict says that the candidate is proven better than the anchor, which its numbers do not show"


def _declared_values(gates: GateSpec, applying: tuple[ClaimSpec, ...], verdict: VerdictFacts) -> dict[str, object]:
    """The fields of a verdict that follow from product.yaml alone."""
    names = {claim.name for claim in applying}
    return {
        "level": look_level(gates),
        "alpha": gates.budget.alpha,
        "looks": gates.budget.looks,
        "unit": gates.unit,
        "not_asked": tuple(claim.name for claim in gates.claims if claim.name not in names),
        "guarantee": guarantee(gates, applying, units=verdict.units),
    }


def _claim_reasons(claim: ClaimSpec, recorded: ClaimFacts | None, gates: GateSpec) -> Iterator[str]:
    if recorded is None:
        yield f"gate {claim.name} was not judged"
    elif recorded.text != claim.text or recorded.kind != claim.kind:
        yield f"gate {claim.name} was judged as another claim: {recorded.kind} {recorded.text}"
    elif recorded.outcome != "PASS" or outcome_again(recorded, level=look_level(gates)) != "PASS":
        yield f"gate {claim.name} did not pass: {recorded.message}"
    elif not _is_whole(claim, recorded, gates):
        yield f"gate {claim.name} did not pass: not every slice is there, in {gates.minimum.units} units at least"


def _is_whole(claim: ClaimSpec, recorded: ClaimFacts, gates: GateSpec) -> bool:
    """Whether a claim that divides the rows has its parts, and all of it the units that it needs."""
    is_divided = bool(claim.for_each) or claim.form.measures[0].kind == "ratio"
    parts = recorded.parts or (() if is_divided else (recorded,))
    return bool(parts) and all(part.units >= gates.minimum.units for part in parts)


def _is_better(gates: GateSpec, judged: Mapping[str, ClaimFacts]) -> bool:
    at = look_level(gates)
    return all(claim.name in judged and is_proven_at(judged[claim.name], 0.0, level=at) for claim in about_the_anchor(gates))
