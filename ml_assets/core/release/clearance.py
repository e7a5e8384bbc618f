"""Derive from a recorded verdict whether a release may go on, needs a person to agree, or is withheld, overrides included.

Does not belong here: people's decisions (approvals.py), which release serves now (promotion.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ml_assets.core.gates.levels import look_level
from ml_assets.core.gates.recorded import outcome_again
from ml_assets.core.gates.unproven import unproven
from ml_assets.core.gates.verdict import gate_digest
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.release.approvals import Override
from ml_assets.spec.product import Product


@dataclass(frozen=True)
class Clearance:
    """`reasons`: why the verdict lets nothing through, empty if it lets the release through; `approval_reason`: why a person has
    to agree first, empty if no one has to; `overridden`: the reasons that a person overrode; `is_proven`: every claim passed
    without an override."""

    reasons: tuple[str, ...]
    approval_reason: str = ""
    overridden: tuple[str, ...] = ()
    is_proven: bool = False


def clearance(product: Product, verdict: VerdictFacts, *, has_champion: bool, override: Override | None = None) -> Clearance:
    """Return what a recorded verdict allows its candidate, given the override recorded about it, if any.

    An override counts for the reasons that it names: one that came up later still counts.
    """
    gates = product.gates
    lacking = tuple(unproven(product, verdict, has_champion=has_champion))
    if not lacking:
        return Clearance((), approval_reason=_approval_reason(product, verdict), is_proven=True)
    if gates.on_inconclusive == "ask" and _is_undecided(product, verdict, has_champion=has_champion):
        return Clearance((), approval_reason=f"the verdict is INCONCLUSIVE: {'; '.join(verdict.reasons)}")
    if override is None or not set(lacking) <= set(override.reasons):
        return Clearance(lacking)
    by_two = f"{override.by} overrode a {verdict.decision}, and four eyes are required" if gates.four_eyes else ""
    return Clearance((), approval_reason=by_two, overridden=lacking)


def _approval_reason(product: Product, verdict: VerdictFacts) -> str:
    gates = product.gates
    if verdict.too_good:
        return verdict.too_good
    if gates.approve == "person":
        return "gates.approve is person"
    first_release = gates.first_release
    if verdict.is_first and first_release is not None and first_release.approve == "person":
        return "it is a first release, and first_release.approve is person"
    return ""


def _is_undecided(product: Product, verdict: VerdictFacts, *, has_champion: bool) -> bool:
    """Whether it is INCONCLUSIVE for these gates, with every claim judged as declared, and none failed by its numbers either.
    Where the window held too little, nothing was judged."""
    is_about_this = verdict.gate == gate_digest(product) and verdict.is_first == (not has_champion)
    if verdict.decision != "INCONCLUSIVE" or not is_about_this:
        return False
    judged = {claim.name: claim for claim in verdict.claims}
    applying = product.gates.claims_that_apply(has_champion=has_champion)
    declared = [(claim.name, claim.kind, claim.text) for claim in applying]
    if judged and declared != [(claim.name, claim.kind, claim.text) for claim in judged.values()]:
        return False
    at = look_level(product.gates)
    return all(claim.outcome != "FAIL" and outcome_again(claim, level=at) != "FAIL" for claim in judged.values())


def refusals(
    product: Product, *, model: Manifest, evaluation: Manifest, compared: Mapping[str, str], override: Override | None = None
) -> list[str]:
    """List every reason why this evaluation does not allow exactly this model to be released; empty if it does.

    `compared`: digests of the bundles that the candidate has to have been compared with now, by role (empty: no release serves).
    """
    verdict_clearance = clearance(
        product, EvaluationFacts.of(evaluation).verdict, has_champion="champion" in compared, override=override
    )
    return [*verdict_clearance.reasons, *misaddressed(model=model, evaluation=evaluation, compared=compared)]


def misaddressed(*, model: Manifest, evaluation: Manifest, compared: Mapping[str, str]) -> list[str]:
    """List why a verdict is not about this model against these releases; no person's decision can make up for that."""
    facts = EvaluationFacts.of(evaluation)
    reasons = []
    if facts.candidate != model.data_version:
        reasons.append(f"the verdict is about model {facts.candidate[:12]}, not {model.data_version[:12]}")
    for role in ("champion", "anchor"):
        judged, now = facts.compared.get(role), compared.get(role)
        if judged != now:
            reasons.append(f"the verdict compares with {_short(judged, role)}, but {_short(now, role)} is the {role}")
    return reasons


def _short(digest: str | None, role: str) -> str:
    return f"release {digest[:12]}" if digest else f"no {role}"
