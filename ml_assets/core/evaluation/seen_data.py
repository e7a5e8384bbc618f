"""The training and test data of a model, by names that can be compared: partitions or, of a static table, the
parts of its keys."""

from collections.abc import Sequence

from ml_assets.core.lineage.facts import ModelFacts, ReleaseFacts
from ml_assets.core.model.split import delivery, names, split_digest
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product


class OtherSplit(MlAssetsError):
    """A model was trained on rows of another division of the keys: which of today's folds it has seen is not known."""


def trained_names(product: Product, facts: ModelFacts | ReleaseFacts, *, role: str) -> tuple[str, ...]:
    """The names of the model's training data. Raises OtherSplit."""
    if not product.partitions.is_static:
        return facts.train
    if facts.split is None or facts.split.digest != split_digest(product):
        raise OtherSplit(
            f"{product.name}: the {role} was trained on another division of the keys (split and features.key of product.yaml), "
            f"so which rows it has seen is not known; put them back as they were, or begin a product of another name"
        )
    return names(facts.split.parts)


def tested_names(product: Product, partitions: Sequence[str]) -> tuple[str, ...]:
    """The names of the data in a test window of these partitions."""
    if not product.partitions.is_static:
        return tuple(partitions)
    return names(map(delivery, partitions))
