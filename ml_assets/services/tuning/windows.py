"""Past windows as a search uses them: some to search on, the newest held apart to see whether what it gives is better."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ml_assets.builders import model
from ml_assets.builders.evaluation import tested_rows
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.reads import labelled_stage, partitions_before
from ml_assets.core.lineage.stages import test_keys, train_keys
from ml_assets.core.model.scoring import load_model, score_frame
from ml_assets.core.model.training import TrainingRefused
from ml_assets.errors import MlAssetsError
from ml_assets.services.review.trial_windows import retired_windows
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.lineage import Lineage


class TooFewWindows(MlAssetsError):
    """There are no two retired windows: one to search on, and one held apart."""


@dataclass(frozen=True)
class SearchWindow:
    """A window: the features that a candidate trains on, and the labelled rows of its test partitions (n, columns)."""

    partition: str
    trained: tuple[Handle, ...]
    rows: pl.DataFrame

    def scores(self, product: Product) -> np.ndarray:
        """The scores (n,) of a model that is fitted as the product declares. Raises TrainingRefused."""
        from catboost import CatBoostError

        try:
            fitted = model.train(self.trained, product)
        except (CatBoostError, TypeError) as error:  # parameters that exclude each other
            raise TrainingRefused(f"{product.name} {self.partition}: CatBoost: {str(error).splitlines()[0]}") from error
        return score_frame(load_model(fitted.content, task=product.task), self.rows, fitted.features)

    @property
    def data_versions(self) -> list[str]:
        """The data that the window is of."""
        return [handle.manifest.data_version for handle in self.trained]


@dataclass(frozen=True)
class SearchWindows:
    """The windows of a search, oldest first."""

    searched: Sequence[SearchWindow]
    held_apart: Sequence[SearchWindow]

    @classmethod
    def of(cls, lineage: Lineage, product: Product) -> "SearchWindows":
        """The newest `ci.windows` retired windows, at most half of those there are, are held apart, and the `tune.windows` before
        them are searched on. Raises TooFewWindows, and InputStale where features of one are not current."""
        retired = retired_windows(lineage.ledger, product, most=product.ci.windows + product.tune.windows)
        apart = min(product.ci.windows, len(retired) // 2)
        if not apart:
            raise TooFewWindows(
                f"{product.name}: a search needs two retired windows whose outcomes are known, one to search on and one to see "
                f"what came of it, and there are {len(retired)}; a window retires when its looks are used up or a later release "
                f"serves: `ml-assets gates budget {product.name}`"
            )
        windows = [_window(lineage, product, key) for key in retired]
        return cls(windows[:-apart][-product.tune.windows :], windows[-apart:])


def _window(lineage: Lineage, product: Product, key: str) -> SearchWindow:
    refuse_stale(lineage, product, "model", key)
    stage = labelled_stage(product)
    known = set(lineage.ledger.partitions(product.name, stage))
    trained, tested = (
        [lineage.handle(lineage.current(product, stage, partition)) for partition in keys if partition in known]
        for keys in (train_keys(product, key), test_keys(product, key))
    )
    return SearchWindow(key, tuple(trained), tested_rows(tested, trained[-partitions_before(product) :], product))
