"""raw: the rows of delivered files, and the files themselves."""

from collections.abc import Mapping

from ml_assets.core.contract.reading import read_delivery
from ml_assets.core.frames import parquet_bytes
from ml_assets.core.lineage.handles import File
from ml_assets.core.lineage.manifests import Output
from ml_assets.spec.product import Product


def build(files: Mapping[str, File], product: Product, partition: str) -> Output:
    """The rows of each table as they were delivered. Raises DeliveryError for a file that isn't a table."""
    tables = product.delivery.tables
    frames = {name: read_delivery(file.content, table=tables[name], name=str(file.path)) for name, file in files.items()}
    members = {f"{name}.parquet": parquet_bytes(frame) for name, frame in frames.items()}
    return Output(members | as_delivered(files), {"rows": {name: frame.height for name, frame in frames.items()}})


def as_delivered(files: Mapping[str, File]) -> dict[str, bytes]:
    """The files' bytes as members of a snapshot."""
    return {f"delivered/{table}{file.path.suffix}": file.content for table, file in files.items()}
