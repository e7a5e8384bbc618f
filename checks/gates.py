"""The gates: each declared claim about a candidate, and the verdict that follows from all of them."""

from collections.abc import Iterator, Sequence
from functools import partial

import dagster as dg

from checks.evidence import check_spec, partition_of, proven_of
from ml_assets.core.gates.results import result_in_words
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.verdict_facts import ClaimFacts
from ml_assets.services.evidence import Finding, Proof
from ml_assets.services.stale_evaluations import stale_evaluations
from ml_assets.spec.product import Product
from resources.dagster_assets import asset_key
from resources.dagster_retries import retried
from resources.ledger.decisions import Decisions
from resources.lineage import Lineage

VERDICT = "gates_passed"
NOT_APPLICABLE = "does not apply to a first release: there is no champion"


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """One blocking check per claim, and one for the verdict."""
    specs = [check_spec(product, "evaluation", VERDICT, "The verdict is ACCEPT.", blocking=True)]
    specs += [
        check_spec(product, "evaluation", claim.name, f"{claim.kind}: {claim.text}", blocking=True)
        for claim in product.gates.claims
    ]
    find = partial(_find, [claim.name for claim in product.gates.claims])
    proof = Proof("evaluation", tuple(spec.name for spec in specs), (f"{__name__}:_find",))

    @dg.multi_asset_check(name=f"{product.name}__gates", specs=specs)
    @retried
    def gates(context: dg.AssetCheckExecutionContext, lineage: dg.ResourceParam[Lineage]) -> Iterator[dg.AssetCheckResult]:
        partition = partition_of(context, lineage.ledger, product, "evaluation")
        evaluation = lineage.ledger.current(product.name, "evaluation", partition)
        excuse = _excused(lineage, product, evaluation) if evaluation else ""
        selected = context.job_def.asset_layer.selected_asset_keys
        is_made_here = asset_key(product, "evaluation") in selected  # then it is current, or the run was refused
        stale = None if is_made_here else stale_evaluations(lineage, product).get(partition)
        if not excuse and asset_key(product, "release") in selected:
            excuse = "the release is withheld"  # by the stage itself: nothing is blocked, and the leaves still run
        for finding in proven_of(context, lineage.ledger, product, proof, manifest=evaluation, find=find):
            if finding.passed and stale:
                yield _warn(finding, stale.message)
            else:
                yield finding if finding.passed or not excuse else _warn(finding, excuse)

    return [gates]


def _excused(lineage: Lineage, product: Product, evaluation: Manifest) -> str:
    """Return why a check that did not pass doesn't stop the path: a person overrode the verdict, or has to decide; empty if it
    does stop it."""
    from ml_assets.core.release.clearance import clearance

    model = lineage.made_from(evaluation)["model"]
    override = Decisions(lineage.ledger).override(product, evaluation, model)
    facts = EvaluationFacts.of(evaluation)
    permit = clearance(product, facts.verdict, has_champion=facts.champion is not None, override=override)
    if permit.overridden and override:
        return f"overridden by {override.by}: {override.reason}"
    return f"a person decides: {product.name} says on_inconclusive: ask" if permit.approval_reason else ""


def _warn(result: dg.AssetCheckResult, excuse: str) -> dg.AssetCheckResult:
    """The result as not passed, with severity WARN so that Dagster goes on. The evidence in the ledger stays as it is."""
    return dg.AssetCheckResult(
        passed=False,
        asset_key=result.asset_key,
        check_name=result.check_name,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{result.description} ({excuse})",
        metadata=result.metadata,
    )


def _find(claims: Sequence[str], evaluation: Manifest) -> Sequence[Finding]:
    """The verdict, and each of these claims; one that the verdict says nothing about is undecided for the verdict's reasons."""
    verdict = EvaluationFacts.of(evaluation).verdict
    accepted = verdict.decision == "ACCEPT"
    short = ", ".join(f"{claim.name} {result_in_words(claim)}" for claim in verdict.claims if claim.outcome != "PASS")
    reasons = short or "; ".join(verdict.reasons)
    description = f"{verdict.decision}: {reasons}" if reasons else verdict.decision
    findings = [Finding(VERDICT, accepted, description), *map(_claim, verdict.claims)]
    findings += [Finding(name, True, NOT_APPLICABLE) for name in verdict.not_asked]
    answered = {finding.claim for finding in findings}
    return findings + [Finding(name, False, f"undecided: {reasons}") for name in claims if name not in answered]


def _claim(claim: ClaimFacts) -> Finding:
    """An undecided claim is not passed: nothing counts but a PASS."""
    details = {name: getattr(claim, name) for name in ("kind", "text", "estimate", "low", "high", "limit", "p", "units")}
    result = result_in_words(claim)
    description = claim.message if result in claim.message else f"{result}: {claim.message}"
    return Finding(claim.name, claim.outcome == "PASS", description, details={**details, "result": result})
