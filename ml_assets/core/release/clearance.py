"""What a recorded verdict lets a release do: go on, go on if a person agrees, or nothing; and what an override passes over.

Does not belong here: what a person said (approvals.py), who answers now (promotion.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ml_assets.core.gates.levels import level
from ml_assets.core.gates.recorded import outcome_again
from ml_assets.core.gates.unproven import unproven
from ml_assets.core.gates.verdict import gate_digest
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.core.release.approvals import Override
from ml_assets.spec.product import Product


@dataclass(frozen=True)
class Leave:
    """`reasons`: why the verdict lets nothing through, empty if it may; `asked`: why a person has to agree first, empty if nobody
    has to; `overridden`: the reasons that a person passed over. `is_proven`: every claim passed, and nobody had to help."""

    reasons: tuple[str, ...]
    asked: str = ""
    overridden: tuple[str, ...] = ()
    is_proven: bool = False


def leave(product: Product, verdict: VerdictFacts, *, has_champion: bool, override: Override | None = None) -> Leave:
    """What a recorded verdict lets its candidate do, with the override that was recorded about it, if any.

    An override counts for the reasons that it names: one that came up later is not passed over.
    """
    gates = product.gates
    lacking = tuple(unproven(product, verdict, has_champion=has_champion))
    if not lacking:
        return Leave((), asked=_asked(product, verdict), is_proven=True)
    if gates.on_inconclusive == "ask" and _is_undecided(product, verdict, has_champion=has_champion):
        return Leave((), asked=f"the verdict is INCONCLUSIVE: {'; '.join(verdict.reasons)}")
    if override is None or not set(lacking) <= set(override.reasons):
        return Leave(lacking)
    by_two = f"{override.by} overrode a {verdict.decision}, and four eyes are asked for" if gates.four_eyes else ""
    return Leave((), asked=by_two, overridden=lacking)


def _asked(product: Product, verdict: VerdictFacts) -> str:
    gates = product.gates
    if gates.approve == "person":
        return "gates.approve is person"
    first = gates.first_release
    if verdict.is_first and first is not None and first.approve == "person":
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
    at = level(product.gates.budget)
    return all(claim.outcome != "FAIL" and outcome_again(claim, level=at) != "FAIL" for claim in judged.values())


def refusals(
    product: Product, *, model: Manifest, evaluation: Manifest, compared: Mapping[str, str], override: Override | None = None
) -> list[str]:
    """Every reason why this evaluation does not let exactly this model be released; empty if it may.

    `compared`: digests of the bundles that the candidate has to have been compared with now, by role (empty: none answers).
    """
    let = leave(product, EvaluationFacts.of(evaluation).verdict, has_champion="champion" in compared, override=override)
    return [*let.reasons, *misaddressed(model=model, evaluation=evaluation, compared=compared)]


def misaddressed(*, model: Manifest, evaluation: Manifest, compared: Mapping[str, str]) -> list[str]:
    """Why a verdict is about something else than this model against these releases; no decision of a person mends it."""
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
