"""Whether served releases kept their promises. These inform (WARN): an estimate is no evidence, and an alarm blocks nothing."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from checks.evidence import check_spec, proven
from ml_assets.core.lineage.facts import RealisedFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.reads import has_labels
from ml_assets.core.outcomes.maturity import is_matured
from ml_assets.services.evidence import Finding, Proof
from ml_assets.services.outcomes.promises import HOLDS, VALUE_HOLDS, findings
from ml_assets.spec.product import Product
from resources.lineage import Lineage

PROOF = Proof("realised", (HOLDS,), ("ml_assets.services.outcomes.promises:findings",))
WITH_VALUE = Proof("realised", (HOLDS, VALUE_HOLDS), ("ml_assets.services.outcomes.promises:findings",))
CLAIMS = {
    HOLDS: "On the outcomes that came, what served is not worse than on its test window by more than declared.",
    VALUE_HOLDS: "On the outcomes that came, a row is worth what was promised, as far as the interval tells.",
}


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The checks of a product that declares `labels`; that of value where it says what a row is worth."""
    if not has_labels(product):
        return []
    proof = WITH_VALUE if product.monitoring.value else PROOF
    specs = [check_spec(product, "realised", claim, CLAIMS[claim], blocking=False) for claim in proof.claims]

    @dg.multi_asset_check(name=f"{product.name}__promises", specs=specs)
    def promises(context: dg.AssetCheckExecutionContext, lineage: dg.ResourceParam[Lineage]) -> Iterator[dg.AssetCheckResult]:
        now = datetime.now(UTC)

        def find(manifest: Manifest) -> Sequence[Finding]:
            return findings(product, manifest.partition, RealisedFacts.of(manifest), now)

        def maturity(manifest: Manifest) -> str:
            return "matured" if is_matured(product, manifest.partition, now) else "not matured"

        yield from proven(context, lineage.ledger, product, proof, find, other_inputs=maturity)

    return [promises]
