"""dataset and quarantine: the rows of one raw partition that keep the contract, and those that do not, each with its reason."""

from ml_assets.core.contract.engine import DeliveryAudit, audit
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.spec.product import Product


def audited(raw: Handle, product: Product, partition: str) -> DeliveryAudit:
    """The audit of one raw partition against the contract."""
    frames = {table: raw.frame(f"{table}.parquet") for table in product.delivery.tables}
    return audit(frames, product=product, partition_window=partitions_of(product).window(partition))


def build(audit: DeliveryAudit, product: Product, partition: str) -> Output:
    """The rows that keep the contract. Raises ContractBreached for a delivery that breaks it as a whole."""
    audit.raise_if_breached(product=product.name, partition=partition)
    files = {f"{name}.parquet": parquet_bytes(table.valid) for name, table in audit.tables.items()}
    return Output(files, {"rows": {name: table.valid.height for name, table in audit.tables.items()}})


def build_quarantine(audit: DeliveryAudit, product: Product, partition: str) -> Output:
    """The refused rows. Raises ContractBreached like `build`: either both are published or neither."""
    audit.raise_if_breached(product=product.name, partition=partition)
    files = {f"{name}.parquet": parquet_bytes(table.refused) for name, table in audit.tables.items()}
    reasons = {name: table.reasons for name, table in audit.tables.items()}
    return Output(files, {"rows": {name: t.refused.height for name, t in audit.tables.items()}, "reasons": reasons})
