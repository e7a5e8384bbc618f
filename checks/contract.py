"""The delivered batch keeps the contract; no row is lost between raw, dataset and quarantine."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from checks.evidence import Finding, Prover, check_spec
from ml_assets.core.manifests import Manifest
from ml_assets.dataset import audit_raw
from ml_assets.product import Product
from resources.workspace import Workspace

if TYPE_CHECKING:
    from ml_assets.core.breaches import Breach

CLAIMS = {
    "schema_matches": ("missing_table", "missing_column", "unknown_column", "check"),
    "volume_expected": ("too_few_rows",),
    "rows_in_partition": ("wrong_partition",),
    "missing_rates_in_limits": ("missing_rate",),
    "quarantine_in_limits": ("quarantined",),
}
"""Each claim about a delivered batch, with the breaches that disprove it."""

DESCRIPTIONS = {
    "schema_matches": "The delivered tables have exactly the contract's columns.",
    "volume_expected": "Each table has at least the contract's minimum of rows.",
    "rows_in_partition": "The rows are of the partition that they were delivered for.",
    "missing_rates_in_limits": "No column misses more values than the contract allows.",
    "quarantine_in_limits": "No more rows than the contract allows are refused.",
}


def build(product: Product) -> list[dg.AssetChecksDefinition]:
    """The contract's checks of raw and of dataset."""
    return [_contract(product), _rows_accounted(product)]


def _contract(product: Product) -> dg.AssetChecksDefinition:
    specs = [check_spec(product, "raw", claim, DESCRIPTIONS[claim], blocking=True) for claim in CLAIMS]

    @dg.multi_asset_check(name=f"{product.name}__contract", specs=specs, can_subset=False)
    def contract(context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[dg.AssetCheckResult]:
        def find(raw: Manifest) -> Sequence[Finding]:
            breaches = audit_raw(workspace, product, raw).breaches
            return [_finding(claim, [b for b in breaches if b.code in codes]) for claim, codes in CLAIMS.items()]

        yield from Prover(workspace, product, "raw", list(CLAIMS), __name__).prove(context, find)

    return contract


def _finding(claim: str, breaches: Sequence["Breach"]) -> Finding:
    told = "; ".join(breach.message for breach in breaches)
    details = {"examples": [list(breach.examples) for breach in breaches]} if breaches else {}
    return Finding(claim, not breaches, told or DESCRIPTIONS[claim], details=details)


def _rows_accounted(product: Product) -> dg.AssetChecksDefinition:
    claim = "rows_accounted"
    about = "Every raw row is in dataset or in quarantine, once."

    @dg.multi_asset_check(
        name=f"{product.name}__rows_accounted", specs=[check_spec(product, "dataset", claim, about, blocking=True)]
    )
    def rows_accounted(
        context: dg.AssetCheckExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.AssetCheckResult]:
        def find(dataset: Manifest) -> Sequence[Finding]:
            return [_account(workspace, product, dataset)]

        yield from Prover(workspace, product, "dataset", [claim], __name__).prove(context, find)

    return rows_accounted


def _account(workspace: Workspace, product: Product, dataset: Manifest) -> Finding:
    """Count the stored rows themselves, not what the manifests say of them."""
    raw = workspace.lineage.current(product, "raw", dataset.partition)
    refused = workspace.lineage.current(product, "quarantine", dataset.partition)
    counts = {
        table: tuple(workspace.snapshots.frame(m.snapshot, f"{table}.parquet").height for m in (raw, dataset, refused))
        for table in product.delivery.tables
    }
    lost = [f"{t}: {r} delivered, {d} kept, {q} refused" for t, (r, d, q) in counts.items() if r != d + q]
    details = {f"{t}_{n}": c for t, each in counts.items() for n, c in zip(("raw", "dataset", "quarantine"), each, strict=True)}
    return Finding("rows_accounted", not lost, "; ".join(lost) or "raw = dataset + quarantine", details=details)
