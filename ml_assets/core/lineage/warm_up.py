"""Warm-up: the first partitions of a calendar, of which some stages can make nothing, whatever is delivered."""

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.stages import STAGES, train_keys
from ml_assets.spec.product import Product

WARM_UP = "warm_up"
"""In the metadata of Dagster's event: why nothing was made."""
SERVED = ("monitoring", "predictions", "realised")
"""The stages that look at a partition with a release of an earlier one."""


def is_warm_up(product: Product, stage: str, key: str) -> bool:
    """Whether the calendar leaves the stage nothing to make of a partition: too few partitions come before it to train on, or
    none from which a release could come."""
    calendar = partitions_of(product)
    if calendar.is_static:
        return False
    if stage in SERVED:
        before = calendar.shift(key, -1)
        return not calendar.contains(before) or is_warm_up(product, "model", before)
    return stage in candidate_stages() and len(train_keys(product, key)) < product.window.minimum


def candidate_stages() -> tuple[str, ...]:
    """The model, and the stages that are made from it."""
    names = ["model"]
    names += [name for name, stage in STAGES.items() if any(read.stage in names for read in stage.reads) and name not in names]
    return tuple(names)
