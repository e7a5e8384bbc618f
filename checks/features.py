"""dbt's own tests of the features, the Features contract, and no leakage: all on the stored snapshot."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg

from checks.evidence import Finding, Prover, check_spec
from ml_assets.core.manifests import Manifest
from ml_assets.product import Product
from resources.claims import KEEPS_CONTRACT
from resources.dbt import test_names
from resources.workspace import Workspace


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The dbt tests, one check each, and the Features contract."""
    return [_dbt_tests(product), _keeps_contract(product)]


def _dbt_tests(product: Product) -> dg.AssetChecksDefinition:
    names = test_names(product)
    specs = [check_spec(product, "features", name, "A data test of the dbt project.", blocking=True) for name in names]

    @dg.multi_asset_check(name=f"{product.name}__dbt_tests", specs=specs)
    def dbt_tests(
        context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.AssetCheckResult]:
        def find(features: Manifest) -> Sequence[Finding]:
            found = workspace.dbt.test(product, relations(workspace, product, features))
            return [Finding(t.name, t.passed, t.message, details={"failures": t.failures, "sql": t.sql}) for t in found]

        yield from Prover(workspace, product, "features", names, __name__).prove(context, find)

    return dbt_tests


def relations(workspace: Workspace, product: Product, features: Manifest) -> dict[str, Path]:
    """The stored Parquet file of each dbt relation of a features snapshot."""
    path = workspace.snapshots.path
    found = {name: path(features.snapshot, f"lookups/{name}.parquet") for name in features.facts["lookups"]}
    found[f"{product.name}_requests"] = path(features.snapshot, "requests.parquet")
    found[f"{product.name}_labels"] = path(features.snapshot, "labels.parquet")
    found[f"{product.name}_features"] = path(features.snapshot, "features.parquet")
    return found


def _keeps_contract(product: Product) -> dg.AssetChecksDefinition:
    about = "The features keep the Features contract."

    @dg.multi_asset_check(
        name=f"{product.name}__keeps_contract",
        specs=[check_spec(product, "features", KEEPS_CONTRACT, about, blocking=True)],
    )
    def keeps_contract(
        context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.AssetCheckResult]:
        def find(features: Manifest) -> Sequence[Finding]:
            return [validate(workspace, product, features)]

        yield from Prover(workspace, product, "features", [KEEPS_CONTRACT], __name__).prove(context, find)

    return keeps_contract


def validate(workspace: Workspace, product: Product, features: Manifest) -> Finding:
    """Hold a features snapshot against the Features contract."""
    from pandera.errors import SchemaErrors

    frame = workspace.snapshots.frame(features.snapshot, "features.parquet").drop(product.features.label)
    if frame.is_empty():
        return Finding(KEEPS_CONTRACT, False, "there are no rows")
    try:
        product.contract.Features.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.head(5).select("column", "check", "failure_case").rows()
        told = "; ".join(f"{column}: {check} ({case})" for column, check, case in cases)
        return Finding(KEEPS_CONTRACT, False, f"{error.failure_cases.height} failure cases, first: {told}")
    return Finding(KEEPS_CONTRACT, True, f"{frame.height} rows keep the contract", details={"rows": frame.height})
