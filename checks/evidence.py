"""The reporting of a check: to Dagster for people, and to the ledger as evidence about exactly one manifest."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.stages import STAGES
from ml_assets.services.evidence import Find, Finding, Proof
from ml_assets.spec.product import Product
from resources.dagster_assets import asset_key
from resources.ledger.ledger import Ledger

RECHECK = "ml-assets/recheck"
"""Run tag that makes every check look again, instead of reusing evidence about the same content."""


def check_spec(product: Product, stage: str, claim: str, description: str, *, blocking: bool) -> dg.AssetCheckSpec:
    """A check of a stage. It has no partitions of its own: of one that has, Dagster's list of checks shows for ever what failed
    or was skipped in any partition, where people look for the state of the newest."""
    return dg.AssetCheckSpec(claim, asset=asset_key(product, stage), description=description, blocking=blocking)


def partition_of(context: dg.AssetCheckExecutionContext, ledger: Ledger, product: Product, stage: str) -> str:
    """The run's partition, which checks without the path get by tag; the newest one where somebody presses *Execute* on Dagster's
    page of a check, which asks for none. "" for what has no partitions."""
    if not STAGES[stage].is_partitioned:
        return ""
    return context.run.tags.get("dagster/partition") or next(reversed(ledger.partitions(product.name, stage)), "")


def proven(
    context: dg.AssetCheckExecutionContext,
    ledger: Ledger,
    product: Product,
    proof: Proof,
    find: Find,
    *,
    other_inputs: Callable[[Manifest], str] = lambda _: "",
) -> Iterator[dg.AssetCheckResult]:
    """One result per claim about the current manifest of the run's partition, from evidence or by looking. `other_inputs`: the
    digest of what else is looked at."""
    current = ledger.current(product.name, proof.stage, partition_of(context, ledger, product, proof.stage))
    about = other_inputs(current) if current else ""
    yield from proven_of(context, ledger, product, proof, manifest=current, find=find, other_inputs=about)


def proven_of(
    context: dg.AssetCheckExecutionContext,
    ledger: Ledger,
    product: Product,
    proof: Proof,
    *,
    manifest: Manifest | None,
    find: Find,
    other_inputs: str = "",
) -> Iterator[dg.AssetCheckResult]:
    """The same about a given manifest; None is nothing to check, which never counts as a pass."""
    if manifest is None:
        what = f"nothing to check: {product.name}/{proof.stage} has nothing here yet"
        nothing = {"reused": dg.MetadataValue.bool(False)}
        yield from (result(product, proof.stage, Finding(claim, False, what, "WARN"), nothing) for claim in proof.claims)
        return
    is_again = RECHECK in context.run.tags
    findings = proof.prove(ledger, product, manifest, find, run=context.run.run_id, is_again=is_again, other_inputs=other_inputs)
    looked_at = {"partition": manifest.partition} if manifest.partition else {}
    for finding, is_reused in findings:
        yield result(product, proof.stage, finding, looked_at | {"reused": dg.MetadataValue.bool(is_reused)})


def result(product: Product, stage: str, finding: Finding, metadata: Mapping[str, Any] | None = None) -> dg.AssetCheckResult:
    """A finding as Dagster's result."""
    return dg.AssetCheckResult(
        passed=finding.passed,
        asset_key=asset_key(product, stage),
        check_name=finding.claim,
        severity=dg.AssetCheckSeverity[finding.severity],
        description=finding.description,
        metadata={**finding.details, **(metadata or {})},
    )
