"""dbt's own tests of the features, and the Features contract."""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from checks.evidence import check_spec, proven
from ml_assets.services.claims import KEEPS_CONTRACT
from ml_assets.services.proofs import features as proofs
from ml_assets.spec.product import Product
from resources.dagster_retries import retried
from resources.dbt.build import Dbt
from resources.ledger.ledger import Ledger
from resources.store.snapshots import Snapshots


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The dbt tests, one check each, and the Features contract."""
    return [_dbt_tests(product), _keeps_contract(product)]


def _dbt_tests(product: Product) -> dg.AssetChecksDefinition:
    proof = proofs.dbt_proof(product)
    specs = [check_spec(product, "features", name, "A data test of the dbt project.", blocking=True) for name in proof.claims]

    @dg.multi_asset_check(name=f"{product.name}__dbt_tests", specs=specs)
    @retried
    def dbt_tests(
        context: dg.AssetCheckExecutionContext,
        ledger: dg.ResourceParam[Ledger],
        snapshots: dg.ResourceParam[Snapshots],
        dbt: dg.ResourceParam[Dbt],
    ) -> Iterator[dg.AssetCheckResult]:
        yield from proven(context, ledger, product, proof, partial(proofs.dbt_tests, snapshots, dbt, product))

    return dbt_tests


def _keeps_contract(product: Product) -> dg.AssetChecksDefinition:
    spec = check_spec(product, "features", KEEPS_CONTRACT, "The features keep the Features contract.", blocking=True)

    @dg.multi_asset_check(name=f"{product.name}__keeps_contract", specs=[spec])
    @retried
    def keeps_contract(
        context: dg.AssetCheckExecutionContext, ledger: dg.ResourceParam[Ledger], snapshots: dg.ResourceParam[Snapshots]
    ) -> Iterator[dg.AssetCheckResult]:
        yield from proven(context, ledger, product, proofs.FEATURES_CONTRACT, partial(proofs.keeps_contract, snapshots, product))

    return keeps_contract
