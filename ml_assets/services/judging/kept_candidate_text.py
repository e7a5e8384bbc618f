"""The candidate that is kept, in words: on which windows it is asked again, what would decide it, and when. The same sentence for
Dagster, `status`, `report` and `gates budget`.
"""

from collections.abc import Sequence

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.verdict_facts import VerdictFacts
from ml_assets.services.judging.kept_candidate import undecided
from ml_assets.spec.product import Product
from resources.lineage import Lineage


def kept_next(lineage: Lineage, product: Product, after: str = "") -> str:
    """The candidate that is asked again when the partition after `after` is in (default: after the newest evaluated one), in one
    sentence; empty where none is kept."""
    evaluated = lineage.ledger.partitions(product.name, "evaluation")
    if product.gates.pooled is None or not (after or evaluated):
        return ""
    calendar = partitions_of(product)
    following = calendar.shift(after or evaluated[-1], 1)
    if not calendar.contains(following):
        return ""
    baselines = lineage.baselines(product, following, question="")
    serving = {role: release.snapshot for role, release in baselines.by_role.items()}
    for evaluations in undecided(lineage, product, following):
        if EvaluationFacts.of(evaluations[-1]).compared == serving:
            return _sentence(product, evaluations, following)
    return ""


def kept_asked(lineage: Lineage, product: Product, evaluation: Manifest) -> list[str]:
    """The verdicts on the candidate that is kept after this partition's own candidate was asked; of several askings the newest
    last."""
    recorded = lineage.ledger.recorded(product.name, "evaluation", evaluation.partition)
    return [asked_again(EvaluationFacts.of(again)) for again in recorded if EvaluationFacts.of(again).kept_since]


def asked_again(facts: EvaluationFacts) -> str:
    """That a candidate was kept, on which windows it was asked again, and with which verdict."""
    reasons = "; ".join([facts.verdict.decision, *facts.verdict.reasons])
    return f"{_kept(facts.kept_since)}, asked again on {pooled_windows(facts.tested)}: {reasons}"


def not_asked(since: str, keys: Sequence[str], refusal: str) -> str:
    """That a candidate is kept and could not be asked on these windows."""
    return f"{_kept(since)}, was not asked on {pooled_windows(keys)}: {refusal}"


def pooled_windows(keys: Sequence[str]) -> str:
    """Several windows as one name."""
    return f"the windows {keys[0]} to {keys[-1]} pooled"


def _kept(since: str) -> str:
    return f"the candidate of {since}, which is kept"


def _sentence(product: Product, evaluations: Sequence[Manifest], following: str) -> str:
    newest, own = EvaluationFacts.of(evaluations[0]), EvaluationFacts.of(evaluations[-1])
    calendar, since = partitions_of(product), evaluations[-1].partition
    assert product.gates.pooled is not None
    last = calendar.shift(since, product.gates.pooled.windows - 1)
    _, due = calendar.window(following)
    until = "for the last time" if following == last else f"at the latest on those up to {last}"
    return (
        f"the candidate of {since} (model {own.candidate[:12]}) is kept, and asked again on "
        f"{pooled_windows([own.tested[0], following])} unless that of {following} is let through, {until}; "
        f"{following} is due {due:%Y-%m-%d %H:%M} UTC. What would decide it: {_open(newest.verdict)}"
    )


def _open(verdict: VerdictFacts) -> str:
    """The claims that are open, each with how many more units would decide it."""
    claims = [claim for claim in verdict.claims if claim.outcome == "UNDECIDED"]
    if not claims:
        return "; ".join(verdict.reasons)
    return "; ".join(
        f"{claim.name} ({claim.text}), about {claim.further_units:,} more {verdict.unit}s like these"
        if claim.further_units
        else f"{claim.name}: {claim.message}"
        for claim in claims
    )
