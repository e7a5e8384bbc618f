"""Proving claims about exactly one manifest: look, or find the evidence of an earlier look, and record it in the ledger."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.records import EvidenceRecord
from ml_assets.core.lineage.stages import STAGES, closure, environment, stage_code, stage_config
from ml_assets.spec.product import Product
from resources.ledger.ledger import Ledger


@dataclass(frozen=True)
class Finding:
    """The result of one claim. `details` are JSON values; WARN informs, ERROR fails `ml-assets check`. What could not be looked
    at (`is_kept` False) is not evidence, neither for nor against."""

    claim: str
    passed: bool
    description: str
    severity: Literal["ERROR", "WARN"] = "ERROR"
    details: Mapping[str, Any] = field(default_factory=dict)
    is_kept: bool = True


Find = Callable[[Manifest], Sequence[Finding]]


@dataclass(frozen=True)
class Proof:
    """Claims about one stage of a product that are looked at together. `entries` are the functions that look ("module:name"):
    evidence is valid as long as their code is the same. With `is_reused` False every proof looks, whatever evidence there is."""

    stage: str
    claims: tuple[str, ...]
    entries: tuple[str, ...]
    is_reused: bool = True

    def prove(
        self,
        ledger: Ledger,
        product: Product,
        manifest: Manifest,
        find: Find,
        *,
        run: str,
        is_again: bool = False,
        other_inputs: str = "",
    ) -> Iterator[tuple[Finding, bool]]:
        """One finding for each claim about the manifest, and whether it is from recorded evidence. `other_inputs` is the digest
        of what else is looked at, such as other partitions: evidence is valid as long as that is the same."""
        identity = self._identity(product, manifest.recipe.stage)
        identity = digest_json([identity, other_inputs]) if other_inputs else identity
        known = ledger.evidence(manifest.id) if self.is_reused and not is_again else {}
        if all(claim in known and known[claim].body.details.identity == identity for claim in self.claims):
            yield from ((_recorded(known[claim].body), True) for claim in self.claims)
            return
        findings = {finding.claim: finding for finding in find(manifest)}
        for claim in self.claims:
            finding = findings.get(claim) or Finding(claim, False, "the check gave no result for this claim")
            if finding.is_kept:
                self._record(ledger, manifest, finding, identity, run)
            yield finding, False

    def _record(self, ledger: Ledger, manifest: Manifest, finding: Finding, identity: str, run: str) -> None:
        shown = {"description": finding.description, "severity": finding.severity, "values": dict(finding.details)}
        details = {"identity": identity, **shown}
        ledger.add_evidence(subject=manifest.id, claim=finding.claim, passed=finding.passed, details=details, run=run)

    def _identity(self, product: Product, stage: str) -> str:
        """The digest of all that decides a finding apart from the content: the code that looks, the stage's code and
        configuration, the libraries."""
        spec = STAGES["dataset"] if stage == "raw" else STAGES[stage]
        parts = [closure(*self.entries).digest, stage_code(product, spec), stage_config(product, spec)]
        return digest_json([*parts, environment(spec)])


def _recorded(shown: EvidenceRecord) -> Finding:
    details = shown.details
    return Finding(shown.claim, shown.passed, details.description, details.severity, details.values)
