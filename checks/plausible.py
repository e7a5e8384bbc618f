"""A partition is plausible compared with the ones before it, asked before anything is trained on it."""

from collections.abc import Iterator

import dagster as dg

from checks.evidence import check_spec, proven
from ml_assets.core.plausibility.claims import CLAIMS
from ml_assets.services.proofs.plausible import PLAUSIBLE, compared_with, is_plausible
from ml_assets.spec.product import Product
from resources.dagster_retries import retried
from resources.lineage import Lineage
from resources.settings import Settings


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """One check for each claim; those that product.yaml holds back by block what is made from the features."""
    holding = product.plausibility.hold
    specs = [check_spec(product, "features", claim, about, blocking=claim in holding) for claim, about in CLAIMS.items()]

    @dg.multi_asset_check(name=f"{product.name}__plausible", specs=specs, can_subset=False)
    @retried
    def plausible(
        context: dg.AssetCheckExecutionContext, lineage: dg.ResourceParam[Lineage], settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.AssetCheckResult]:
        yield from proven(
            context,
            lineage.ledger,
            product,
            PLAUSIBLE,
            lambda features: is_plausible(lineage, product, settings, features),
            other_inputs=lambda features: compared_with(lineage, product, features),
        )

    return [plausible]
