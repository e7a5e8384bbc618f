"""No leakage: features do not move when what was not known yet is erased and they are built again."""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from checks.evidence import check_spec, proven
from ml_assets.services.claims import NO_LEAKAGE
from ml_assets.services.proofs import leakage as proofs
from ml_assets.spec.product import Product
from resources.dagster_retries import retried
from resources.dbt.build import Dbt
from resources.lineage import Lineage


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The leakage check of the features."""
    about = "Erasing every outcome from a day on leaves the features up to and including that day as they are."
    spec = check_spec(product, "features", NO_LEAKAGE, about, blocking=True)

    @dg.multi_asset_check(name=f"{product.name}__no_leakage", specs=[spec])
    @retried
    def no_leakage(
        context: dg.AssetCheckExecutionContext, lineage: dg.ResourceParam[Lineage], dbt: dg.ResourceParam[Dbt]
    ) -> Iterator[dg.AssetCheckResult]:
        yield from proven(context, lineage.ledger, product, proofs.LEAKAGE, partial(proofs.no_leakage, lineage, dbt, product))

    return [no_leakage]
