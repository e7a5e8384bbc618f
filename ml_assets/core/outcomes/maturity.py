"""When a partition's outcomes are complete: `labels.matures` after its end. The clock is an argument."""

from datetime import UTC, datetime

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.spec.product import Product


def matures_at(product: Product, partition: str) -> datetime | None:
    """When the partition's outcomes are complete (UTC); None where they are as soon as they come."""
    labels = product.labels
    if labels is None or not labels.maturity:
        return None
    return partitions_of(product).window(partition)[1].replace(tzinfo=UTC) + labels.maturity


def is_matured(product: Product, partition: str, now: datetime) -> bool:
    """Whether the partition's outcomes count as complete at a moment (UTC)."""
    at = matures_at(product, partition)
    return at is None or at <= now


def immature(product: Product, partition: str, now: datetime) -> str:
    """Why a candidate as of the partition is neither trained nor tested yet; empty once its outcomes are complete. Those of
    earlier partitions are by then."""
    if is_matured(product, partition, now):
        return ""
    at, label = matures_at(product, partition), product.features.label
    matures = product.labels.matures if product.labels else ""
    return f"{label} of {partition} is complete at {at:%Y-%m-%d %H:%M} UTC (labels.matures: {matures})"
