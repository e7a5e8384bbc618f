"""dbt's own tests of the features, and the Features contract: on the stored snapshot."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.core.lineage.facts import FeaturesFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.claims import KEEPS_CONTRACT
from ml_assets.services.evidence import Finding, Proof
from ml_assets.spec.product import Product
from resources.dbt.build import Dbt, test_names
from resources.store.snapshots import Snapshots

if TYPE_CHECKING:
    import polars as pl

FEATURES_CONTRACT = Proof("features", (KEEPS_CONTRACT,), (f"{__name__}:_contract_finding",))


def dbt_proof(product: Product) -> Proof:
    """The product's data tests."""
    return Proof("features", test_names(product), (f"{__name__}:dbt_tests", "resources.dbt.build:Dbt.test"))


def dbt_tests(snapshots: Snapshots, dbt: Dbt, product: Product, features: Manifest) -> Sequence[Finding]:
    """Run dbt's data tests over the stored relations."""
    results = dbt.test(product, relations(snapshots, product, features))
    return [Finding(t.name, t.passed, t.message, details={"failures": t.failures, "sql": t.sql}) for t in results]


def relations(snapshots: Snapshots, product: Product, features: Manifest) -> dict[str, Path]:
    """The stored Parquet file of each dbt relation of a features snapshot."""
    path = snapshots.path
    paths = {name: path(features.snapshot, f"lookups/{name}.parquet") for name in FeaturesFacts.of(features).lookups}
    paths[f"{product.name}_requests"] = path(features.snapshot, "requests.parquet")
    paths[f"{product.name}_labels"] = path(features.snapshot, "labels.parquet")
    paths[f"{product.name}_features"] = path(features.snapshot, "features.parquet")
    return paths


def keeps_contract(snapshots: Snapshots, product: Product, features: Manifest) -> Sequence[Finding]:
    """Hold a features snapshot against the Features contract."""
    frame = snapshots.frame(features.snapshot, "features.parquet").drop(product.features.labels)
    return [_contract_finding(frame, product)]


def _contract_finding(frame: "pl.DataFrame", product: Product) -> Finding:
    from pandera.errors import SchemaErrors

    from ml_assets.core.contract.schema import schema_to_validate

    if frame.is_empty():
        return Finding(KEEPS_CONTRACT, False, "there are no rows")
    try:
        schema_to_validate(product.contract.Features).validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.head(5).select("column", "check", "failure_case").rows()
        message = "; ".join(f"{column}: {check} ({case})" for column, check, case in cases)
        return Finding(KEEPS_CONTRACT, False, f"{error.failure_cases.height} failure cases, first: {message}")
    return Finding(KEEPS_CONTRACT, True, f"{frame.height} rows keep the contract", details={"rows": frame.height})
