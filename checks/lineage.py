"""Releases are what their manifests say: every byte there, and no training row among the rows that judged them."""

from collections.abc import Iterator, Sequence

import dagster as dg

from checks.evidence import check_spec, proven
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.evidence import Finding
from ml_assets.services.proofs.release import CLAIMS, PROOF, intact, unseen
from ml_assets.spec.product import Product
from resources.dagster_retries import retried
from resources.lineage import Lineage


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The checks of a release."""
    specs = [check_spec(product, "release", claim, about, blocking=True) for claim, about in CLAIMS.items()]

    @dg.multi_asset_check(name=f"{product.name}__release_checks", specs=specs)
    @retried
    def release_checks(
        context: dg.AssetCheckExecutionContext, lineage: dg.ResourceParam[Lineage]
    ) -> Iterator[dg.AssetCheckResult]:
        def find(release: Manifest) -> Sequence[Finding]:
            return [intact(lineage.snapshots, release), unseen(lineage, product, release)]

        yield from proven(context, lineage.ledger, product, PROOF, find)

    return [release_checks]
