"""model: the candidate, fitted on the features of its training window."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.model.features import model_columns, stacked
from ml_assets.core.model.split import trained_on, trained_parts
from ml_assets.core.model.training import Progress, fit
from ml_assets.spec.product import Product

if TYPE_CHECKING:
    import polars as pl

    from ml_assets.core.model.training import Fitted


def build(inputs: Sequence[Handle], product: Product, partition: str, progress: Progress | None = None) -> Output:
    """A model of the rows of these features, partition after partition in the order given."""
    rows = _rows(inputs, product)
    fitted = _fitted(rows, product, progress)
    about = {
        "features": list(fitted.features),
        "learning_curve": list(fitted.learning_curve),
        "loss": fitted.loss_name,
        "importance": [list(pair) for pair in fitted.importance],
    }
    files = {"model.cbm": fitted.content, "model.json": json.dumps(about, indent=1).encode()}
    if fitted.untrained:
        about["untrained"] = list(fitted.untrained)
    facts = {"rows": fitted.rows, "train": [handle.partition for handle in inputs], "loss": fitted.learning_curve[-1]}
    return Output(files, {**facts, **trained_parts(rows, product)}, data_version=fitted.fingerprint)


def train(inputs: Sequence[Handle], product: Product, progress: Progress | None = None) -> "Fitted":
    """Fit on the rows of these features."""
    return _fitted(_rows(inputs, product), product, progress)


def _rows(inputs: Sequence[Handle], product: Product) -> "pl.DataFrame":
    return trained_on(stacked(inputs, product=product), product, partition=inputs[-1].partition)


def _fitted(rows: "pl.DataFrame", product: Product, progress: Progress | None) -> "Fitted":
    return fit(rows, product=product, columns=model_columns(product), progress=progress)
