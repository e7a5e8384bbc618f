"""Monitoring's claims. They inform (WARN): drift lets nothing pass and blocks nothing by itself."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from checks.evidence import check_spec, proven, result
from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.facts import MonitoringFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.metrics.registry import METRICS
from ml_assets.errors import MlAssetsError
from ml_assets.services.evidence import Finding, Proof
from ml_assets.spec.product import Product
from resources.dagster_retries import retried
from resources.lineage import Lineage
from resources.settings import Settings

if TYPE_CHECKING:
    from ml_assets.core.drift.verdict import DriftVerdict
    from ml_assets.services.watching.served_traffic import ServedTraffic

DATA, SCORES, REQUESTS = "columns_stable", "score_stable", "requests_match_training"
CLAIMS = {
    "columns_stable": "Features, labels and the number of rows differ from earlier partitions no more than these do by nature.",
    "score_stable": "The scores differ from those of earlier partitions no more than these do by nature.",
    REQUESTS: "What production was asked about the partition's time has features like those of its partitions.",
    "realised_metric_holds": "On known outcomes, the release is not worse than on its test window by more than declared.",
}
PROOF = Proof(
    "monitoring",
    tuple(claim for claim in CLAIMS if claim != REQUESTS),
    (
        f"{__name__}:_as_finding",
        f"{__name__}:_realised",
        "ml_assets.services.watching.verdicts:of_data",
        "ml_assets.services.watching.verdicts:of_scores",
    ),
)
SKEW = Proof(
    "monitoring",
    (REQUESTS,),
    (f"{__name__}:_as_finding", "ml_assets.services.watching.served_traffic:ServedTraffic.verdict"),
)


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The monitoring checks."""
    specs = [check_spec(product, "monitoring", claim, about, blocking=False) for claim, about in CLAIMS.items()]

    @dg.multi_asset_check(name=f"{product.name}__drift", specs=specs)
    @retried
    def drift(
        context: dg.AssetCheckExecutionContext, lineage: dg.ResourceParam[Lineage], settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.AssetCheckResult]:
        def find(monitoring: Manifest) -> Sequence[Finding]:
            return [*_drift(lineage, product, settings, monitoring), _realised(product, monitoring)]

        def other_inputs(monitoring: Manifest) -> str:
            from ml_assets.services.watching.verdicts import compared_with

            return compared_with(lineage, product, monitoring)

        read: dict[str, ServedTraffic] = {}

        def traffic(monitoring: Manifest) -> "ServedTraffic":
            from ml_assets.services.watching.served_traffic import ServedTraffic

            if monitoring.id not in read:
                features = lineage.made_from(monitoring)["features"]
                read[monitoring.id] = ServedTraffic(lineage, product, settings, features)
            return read[monitoring.id]

        def compared_traffic(monitoring: Manifest) -> str:
            return digest_json([traffic(monitoring).digest, other_inputs(monitoring)])

        def find_skew(monitoring: Manifest) -> Sequence[Finding]:
            return [_skew(lineage, product, settings, traffic(monitoring))]

        yield from proven(context, lineage.ledger, product, PROOF, find, other_inputs=other_inputs)
        try:
            yield from proven(context, lineage.ledger, product, SKEW, find_skew, other_inputs=compared_traffic)
        except MlAssetsError as error:  # a damaged log, or a store that is away: what only informs stops no run
            yield result(product, "monitoring", Finding(REQUESTS, False, f"requests cannot be looked at: {error}", "WARN"))

    return [drift]


def _drift(lineage: Lineage, product: Product, settings: Settings, monitoring: Manifest) -> list[Finding]:
    from ml_assets.services.watching.summaries import Summaries
    from ml_assets.services.watching.verdicts import of_data, of_scores

    read = lineage.made_from(monitoring)
    summaries = Summaries.of(lineage, product, settings)
    data = of_data(summaries, read["features"], release=read.get("release"))[-1]
    scores = of_scores(lineage, product, monitoring)
    return [_as_finding(DATA, data), *([_as_finding(SCORES, scores[-1])] if scores else [])]


def _skew(lineage: Lineage, product: Product, settings: Settings, traffic: "ServedTraffic") -> Finding:
    from ml_assets.services.watching.served_traffic import NOT_SERVED
    from ml_assets.services.watching.summaries import Summaries

    verdict = traffic.verdict(Summaries.of(lineage, product, settings))
    return _as_finding(REQUESTS, verdict) if verdict else Finding(REQUESTS, True, NOT_SERVED, "WARN", is_kept=False)


def _as_finding(claim: str, verdict: "DriftVerdict") -> Finding:
    """A verdict of stable passes; one that cannot be given passes too, and says that it is none."""
    return Finding(claim, verdict.is_calm, verdict.sentence, "WARN", verdict.values)


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
