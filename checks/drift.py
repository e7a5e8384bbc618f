"""Monitoring's claims. They inform (WARN): drift lets nothing pass and blocks nothing by itself."""

from collections.abc import Iterator, Sequence

import dagster as dg

from checks.evidence import check_spec, proven
from ml_assets.core.lineage.facts import MonitoringFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.metrics.registry import METRICS
from ml_assets.services.evidence import Finding, Proof
from ml_assets.spec.product import Product
from resources.ledger.ledger import Ledger

CLAIMS = {
    "columns_stable": "No feature has drifted further from the reference profile than declared.",
    "score_stable": "The scores have not drifted further from the reference profile than declared.",
    "realised_metric_holds": "On known outcomes, the release is not worse than on its test window by more than declared.",
}

PROOF = Proof("monitoring", tuple(CLAIMS), (f"{__name__}:_columns", f"{__name__}:_score", f"{__name__}:_realised"))


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The monitoring checks."""
    specs = [check_spec(product, "monitoring", claim, about, blocking=False) for claim, about in CLAIMS.items()]

    @dg.multi_asset_check(name=f"{product.name}__drift", specs=specs)
    def drift(context: dg.AssetCheckExecutionContext, ledger: dg.ResourceParam[Ledger]) -> Iterator[dg.AssetCheckResult]:
        def find(monitoring: Manifest) -> Sequence[Finding]:
            return [_columns(product, monitoring), _score(product, monitoring), _realised(product, monitoring)]

        yield from proven(context, ledger, product, PROOF, find)

    return [drift]


def _columns(product: Product, monitoring: Manifest) -> Finding:
    drifted, limit = MonitoringFacts.of(monitoring).drifted, product.monitoring.column_psi
    description = f"PSI above {limit}: {', '.join(drifted)}" if drifted else f"every column's PSI is at most {limit}"
    return Finding("columns_stable", not drifted, description, "WARN", {"limit": limit, "drifted": len(drifted)})


def _score(product: Product, monitoring: Manifest) -> Finding:
    psi, limit = MonitoringFacts.of(monitoring).score_psi, product.monitoring.score_psi
    return Finding("score_stable", psi <= limit, f"PSI {psi:.3f}, limit {limit}", "WARN", {"psi": psi, "limit": limit})


def _realised(product: Product, monitoring: Manifest) -> Finding:
    claim, spec = "realised_metric_holds", product.monitoring
    facts = MonitoringFacts.of(monitoring)
    if facts.metrics is None or facts.promised is None:
        return Finding(claim, False, "not known: no outcomes yet, or the release recorded no such metric", "WARN")
    value = facts.metrics[spec.metric]["candidate"].value
    if value is None:
        return Finding(claim, False, f"{spec.metric} is not defined on these outcomes", "WARN")
    drop = -METRICS[spec.metric].advantage(value, facts.promised)
    description = f"{spec.metric} {value:.4f}, {facts.promised:.4f} on its test window, may drop by {spec.max_drop}"
    return Finding(claim, drop <= spec.max_drop, description, "WARN", {"value": value, "promised": facts.promised, "drop": drop})
