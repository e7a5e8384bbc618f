"""Why a recorded verdict lets nothing through: what release and endpoint ask before they believe one.

Belongs here: a stored verdict against what product.yaml declares now. Does not: giving verdicts (verdict.py).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ml_assets.core.gates.levels import level
from ml_assets.core.gates.recorded import is_proven_at, outcome_again
from ml_assets.core.gates.verdict import about_the_anchor, gate_digest, guarantee
from ml_assets.spec.gates import ClaimSpec, GateSpec
from ml_assets.spec.product import Product


def unproven(product: Product, verdict: Mapping[str, Any], *, has_champion: bool) -> list[str]:
    """Why a recorded verdict (Verdict.to_dict) lets nothing through: every required claim must be there, for these gates, with
    numbers from which a PASS follows again. Empty if it does."""
    return list(_reasons(product, verdict, has_champion=has_champion))


def _reasons(product: Product, verdict: Mapping[str, Any], *, has_champion: bool) -> Iterator[str]:
    gates = product.gates
    if verdict.get("decision") != "ACCEPT":
        yield f"the verdict is {verdict.get('decision')}: {'; '.join(map(str, verdict.get('reasons') or ()))}"
    if verdict.get("gate") != gate_digest(product):
        yield "the verdict was given for other gates than product.yaml declares now"
    if verdict.get("is_first") is not (not has_champion):
        yield "the verdict is that of a first release" if has_champion else "the verdict compares with a champion"
    applying = gates.claims_that_apply(has_champion=has_champion)
    for name, expected in _told(gates, applying, verdict).items():
        if verdict.get(name) != expected:
            yield f"the verdict says {name} {verdict.get(name)!r}, and product.yaml {expected!r}"
    recorded = [each for each in verdict.get("claims") or () if isinstance(each, Mapping)]
    names = [each.get("name") for each in recorded]
    if sorted(map(str, names)) != sorted(claim.name for claim in applying):
        yield f"the verdict judges {', '.join(map(str, names)) or 'nothing'}, not each claim of product.yaml once"
    judged = dict(zip(names, recorded, strict=True))
    for claim in applying:
        yield from _claim_reasons(claim, judged.get(claim.name), gates)
    if verdict.get("is_better") and has_champion and not _is_better(gates, judged):
        yield "the verdict says that the candidate is proven better than the anchor, which its numbers do not show"


def _told(gates: GateSpec, applying: tuple[ClaimSpec, ...], verdict: Mapping[str, Any]) -> dict[str, Any]:
    """What a verdict says that follows from product.yaml alone."""
    units = verdict.get("units")
    names = {claim.name for claim in applying}
    return {
        "level": level(gates.budget),
        "alpha": gates.budget.alpha,
        "looks": gates.budget.looks,
        "unit": gates.unit,
        "not_asked": [claim.name for claim in gates.claims if claim.name not in names],
        "guarantee": guarantee(gates, applying, units=units if isinstance(units, int) else 0),
    }


def _claim_reasons(claim: ClaimSpec, recorded: Mapping[str, Any] | None, gates: GateSpec) -> Iterator[str]:
    if recorded is None:
        yield f"gate {claim.name} was not judged"
    elif recorded.get("text") != claim.text or recorded.get("kind") != claim.kind:
        yield f"gate {claim.name} was judged as another claim: {recorded.get('kind')} {recorded.get('text')}"
    elif recorded.get("outcome") != "PASS" or outcome_again(recorded, level=level(gates.budget)) != "PASS":
        yield f"gate {claim.name} did not pass: {recorded.get('message')}"
    elif not _is_whole(claim, recorded, gates):
        yield f"gate {claim.name} did not pass: not every slice is there, in {gates.minimum.units} units at least"


def _is_whole(claim: ClaimSpec, recorded: Mapping[str, Any], gates: GateSpec) -> bool:
    """Whether a claim that divides the rows has its parts, and all of it the units that it needs."""
    is_divided = bool(claim.for_each) or claim.form.measures[0].kind == "ratio"
    parts = recorded["parts"] or ([] if is_divided else [recorded])
    return bool(parts) and all(part["units"] >= gates.minimum.units for part in parts)


def _is_better(gates: GateSpec, judged: Mapping[Any, Mapping[str, Any]]) -> bool:
    at = level(gates.budget)
    return all(is_proven_at(judged.get(claim.name, {}), 0.0, level=at) for claim in about_the_anchor(gates))
