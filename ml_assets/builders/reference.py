"""reference: the rows of delivered reference tables that keep the contract, those that do not, and the files themselves."""

from collections.abc import Mapping

from ml_assets.builders.raw import as_delivered
from ml_assets.core.contract.engine import audit
from ml_assets.core.contract.reading import read_delivery
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.handles import File
from ml_assets.core.lineage.manifests import Output
from ml_assets.spec.product import Product


def build(files: Mapping[str, File], product: Product, partition: str) -> Output:
    """The reference tables. Raises ContractBreached where one as a whole breaks its contract."""
    tables = product.delivery.reference
    frames = {name: read_delivery(file.content, table=tables[name], name=str(file.path)) for name, file in files.items()}
    audited = audit(frames, product=product, partition_window=None)
    audited.raise_if_breached(product=product.name, partition=None)
    members = {f"{name}.parquet": parquet_bytes(table.valid) for name, table in audited.tables.items()}
    members |= {f"quarantine/{name}.parquet": parquet_bytes(table.refused) for name, table in audited.tables.items()}
    facts = {"rows": {name: table.valid.height for name, table in audited.tables.items()}}
    refused = {name: table.refused.height for name, table in audited.tables.items()}
    return Output(members | as_delivered(files), {**facts, "quarantined": refused})
