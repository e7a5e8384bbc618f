"""How a check reports: to Dagster for people, and to the ledger as evidence about exactly one manifest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import dagster as dg

from ml_assets.core.code import code_digest
from ml_assets.core.digests import digest_json
from ml_assets.core.manifests import Manifest
from ml_assets.core.stages import STAGES, environment, stage_code, stage_config
from ml_assets.product import Product
from resources.assets import asset_key, partitions_def, unfinished_apis
from resources.ledger import Entry
from resources.workspace import Workspace

RECHECK = "ml-assets/recheck"
"""Run tag that makes every check look again, instead of reusing evidence about the same content."""


@dataclass(frozen=True)
class Finding:
    """What one claim showed. `details` are JSON values; WARN informs, ERROR fails `ml-assets check`."""

    claim: str
    passed: bool
    description: str
    severity: Literal["ERROR", "WARN"] = "ERROR"
    details: Mapping[str, Any] = field(default_factory=dict)


def check_spec(product: Product, stage: str, claim: str, description: str, *, blocking: bool) -> dg.AssetCheckSpec:
    """A check of a stage, partitioned like it."""
    is_partitioned = stage in STAGES and STAGES[stage].is_partitioned
    with unfinished_apis():
        return dg.AssetCheckSpec(
            claim,
            asset=asset_key(product, stage),
            description=description,
            blocking=blocking,
            partitions_def=partitions_def(product) if is_partitioned else None,
        )


def partition_of(context: dg.AssetCheckExecutionContext) -> str:
    """The run's partition; checks without the path get it by tag."""
    return context.run.tags.get("dagster/partition", "")


@dataclass(frozen=True)
class Prover:
    """Proves claims about one asset. `module` is the check's module: its code is part of what evidence stands for. With
    `is_reused` False it looks every time, whatever evidence there is."""

    workspace: Workspace
    product: Product
    stage: str
    claims: Sequence[str]
    module: str
    is_reused: bool = True

    def prove(
        self, context: dg.AssetCheckExecutionContext, find: Callable[[Manifest], Sequence[Finding]]
    ) -> Iterator[dg.AssetCheckResult]:
        """One result per claim about what stands for the run's partition now, from evidence or by looking."""
        partition = partition_of(context) if STAGES[self.stage].is_partitioned else ""
        manifest = self.workspace.ledger.current(self.product.name, self.stage, partition)
        yield from self.prove_about(context, manifest, find)

    def prove_about(
        self,
        context: dg.AssetCheckExecutionContext,
        manifest: Manifest | None,
        find: Callable[[Manifest], Sequence[Finding]],
    ) -> Iterator[dg.AssetCheckResult]:
        """The same about a given manifest; None is nothing to check, which never counts as a pass."""
        if manifest is None:
            what = f"nothing to check: {self.product.name}/{self.stage} has nothing here yet"
            yield from (self._result(Finding(claim, False, what, "WARN"), reused=False) for claim in self.claims)
            return
        identity = _identity(self.product, manifest.recipe.stage, self.module)
        is_reused = self.is_reused and RECHECK not in context.run.tags
        known = self.workspace.ledger.evidence(manifest.id) if is_reused else {}
        if all(claim in known and known[claim].body["details"]["identity"] == identity for claim in self.claims):
            yield from (self._result(_recalled(known[claim]), reused=True) for claim in self.claims)
            return
        yield from self._look(context.run.run_id, manifest, identity, find)

    def _look(
        self, run: str, manifest: Manifest, identity: str, find: Callable[[Manifest], Sequence[Finding]]
    ) -> Iterator[dg.AssetCheckResult]:
        found = {finding.claim: finding for finding in find(manifest)}
        for claim in self.claims:
            finding = found.get(claim) or Finding(claim, False, "the check gave no result for this claim")
            told = {"description": finding.description, "severity": finding.severity, "values": dict(finding.details)}
            self.workspace.ledger.add_evidence(
                subject=manifest.id, claim=claim, passed=finding.passed, details={"identity": identity, **told}, run=run
            )
            yield self._result(finding, reused=False)

    def _result(self, finding: Finding, *, reused: bool) -> dg.AssetCheckResult:
        return result(self.product, self.stage, finding, {"reused": dg.MetadataValue.bool(reused)})


def _identity(product: Product, stage: str, module: str) -> str:
    """What decides a finding beside the content: the check's code, the stage's code and configuration, the libraries."""
    spec = STAGES[stage]
    by_dataset = STAGES["dataset"] if stage == "raw" else spec
    parts = [code_digest([module]), stage_code(product, by_dataset), stage_config(product, by_dataset)]
    return digest_json([*parts, environment(by_dataset)])


def _recalled(entry: Entry) -> Finding:
    details = entry.body["details"]
    return Finding(entry.body["claim"], entry.body["passed"], details["description"], details["severity"], details["values"])


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
