"""The delivered batch keeps the contract; no row is lost between raw, dataset and quarantine."""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from checks.evidence import check_spec, proven
from ml_assets.services.proofs import contract as proofs
from ml_assets.spec.product import Product
from resources.dagster_retries import retried
from resources.lineage import Lineage


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The contract's checks of raw and of dataset."""
    return [_contract(product), _rows_accounted(product)]


def _contract(product: Product) -> dg.AssetChecksDefinition:
    specs = [check_spec(product, "raw", claim, proofs.DESCRIPTIONS[claim], blocking=True) for claim in proofs.CLAIMS]

    @dg.multi_asset_check(name=f"{product.name}__contract", specs=specs, can_subset=False)
    @retried
    def contract(context: dg.AssetCheckExecutionContext, lineage: dg.ResourceParam[Lineage]) -> Iterator[dg.AssetCheckResult]:
        find = partial(proofs.keeps_contract, lineage, product)
        yield from proven(context, lineage.ledger, product, proofs.CONTRACT, find)

    return contract


def _rows_accounted(product: Product) -> dg.AssetChecksDefinition:
    about = "Every raw row is in dataset or in quarantine, once."
    spec = check_spec(product, "dataset", proofs.ROWS_ACCOUNTED, about, blocking=True)

    @dg.multi_asset_check(name=f"{product.name}__rows_accounted", specs=[spec])
    @retried
    def rows_accounted(
        context: dg.AssetCheckExecutionContext, lineage: dg.ResourceParam[Lineage]
    ) -> Iterator[dg.AssetCheckResult]:
        yield from proven(context, lineage.ledger, product, proofs.ROWS, partial(proofs.accounted, lineage, product))

    return rows_accounted
