"""The delivered batch keeps the contract; no row is lost between raw, dataset and quarantine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.evidence import Finding, Proof
from ml_assets.services.proofs.raw_audit import checked
from ml_assets.spec.product import Product
from resources.lineage import Lineage

if TYPE_CHECKING:
    from ml_assets.core.contract.breaches import Breach

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


ROWS_ACCOUNTED = "rows_accounted"
CONTRACT = Proof("raw", tuple(CLAIMS), (f"{__name__}:_finding", "ml_assets.builders.dataset:audited"))
ROWS = Proof("dataset", (ROWS_ACCOUNTED,), (f"{__name__}:accounted",))


def keeps_contract(lineage: Lineage, product: Product, raw: Manifest) -> Sequence[Finding]:
    """Hold a raw partition against the contract of its tables."""
    breaches = checked(lineage, product, raw).breaches
    command = f"ml-assets quarantine {product.name} --partition {raw.partition}"
    return [_finding(claim, [b for b in breaches if b.code in codes], command) for claim, codes in CLAIMS.items()]


def _finding(claim: str, breaches: Sequence["Breach"], command: str) -> Finding:
    """A claim with the breaches that disprove it; `command` shows the refused rows."""
    message = "; ".join(breach.message for breach in breaches)
    if message and CLAIMS[claim] == ("quarantined",):
        message = f"{message}; `{command}` shows them"
    details = {"examples": [list(breach.examples) for breach in breaches]} if breaches else {}
    return Finding(claim, not breaches, message or DESCRIPTIONS[claim], details=details)


def accounted(lineage: Lineage, product: Product, dataset: Manifest) -> Sequence[Finding]:
    """Count the stored rows themselves, not what the manifests say of them."""
    raw = lineage.current(product, "raw", dataset.partition)
    refused = lineage.current(product, "quarantine", dataset.partition)
    counts = {
        table: tuple(lineage.snapshots.frame(m.snapshot, f"{table}.parquet").height for m in (raw, dataset, refused))
        for table in product.delivery.tables
    }
    lost = [f"{t}: {r} delivered, {d} kept, {q} refused" for t, (r, d, q) in counts.items() if r != d + q]
    details = {
        f"{t}_{n}": c for t, triple in counts.items() for n, c in zip(("raw", "dataset", "quarantine"), triple, strict=True)
    }
    return [Finding(ROWS_ACCOUNTED, not lost, "; ".join(lost) or "raw = dataset + quarantine", details=details)]
