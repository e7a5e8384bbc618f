"""The stored partitions of a product as models train, are tested and serve on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from ml_assets.core.lineage.handles import Handle
from ml_assets.core.release.offline_bundle import FEATURES_SQL, LOOKUPS, features_by
from ml_assets.spec.product import Product


@dataclass(frozen=True)
class PastWindows:
    """The rows of each partition, in order, with the labels that are known of them, as a candidate trains and is tested on them.
    Of a static table each partition is the whole table, of which a candidate trains on some folds and is tested on another.
    `features`: their snapshots, which hold the requests, and the SQL and the lookups that a release ships; without them all
    releases are taken to compute the same features."""

    product: Product
    keys: Sequence[str]
    rows: Sequence[pl.DataFrame]
    features: Sequence[Handle] = ()

    @property
    def first(self) -> int:
        """The number of the first partition that a model can be as of."""
        window = self.product.window
        return 0 if self.product.partitions.is_static else window.minimum + window.test - 1

    @property
    def pooled(self) -> int:
        """Over how many windows a candidate is asked in all: one where none is kept."""
        pooled = self.product.gates.pooled
        return pooled.windows if pooled else 1

    def tested(self, now: int) -> range:
        """The partitions of the test window of the model as of a partition."""
        return range(now, now + 1) if self.product.partitions.is_static else range(now + 1 - self.product.window.test, now + 1)

    def trained_on(self, now: int) -> pl.DataFrame:
        """The rows that the model as of a partition trains on."""
        from ml_assets.core.model.split import trained_on

        if self.product.partitions.is_static:
            return trained_on(self.rows[now], self.product, partition=self.keys[now])
        end = self.tested(now).start
        return pl.concat(self.rows[max(0, end - self.product.window.train) : end])

    @cached_property
    def served(self) -> list[pl.DataFrame]:
        """The rows of each partition by which a model that serves is measured, with a known label or without."""
        from ml_assets.core.model.split import tested_on

        return [tested_on(rows, self.product, partition=key) for key, rows in zip(self.keys, self.rows, strict=True)]

    def before(self, now: int) -> pl.DataFrame:
        """The rows that say what is usual in the test window of the model as of a partition."""
        from ml_assets.core.model.split import trained_on

        if self.product.partitions.is_static:
            return trained_on(self.rows[now], self.product, partition=self.keys[now])
        end = self.tested(now).start
        return pl.concat(self.rows[max(0, end - self.product.window.test) : end])

    def tested_until(self, model: int, at: int) -> list[range]:
        """The windows that the candidate as of `model` is asked on when the partition `at` is in: its own, then what came after
        it in parts of the same length, as far as it goes."""
        own = self.tested(model)
        return [range(begin, min(begin + len(own), at + 1)) for begin in range(own.start, at + 1, len(own))]

    def ships_others(self, at: int, then: int) -> bool:
        """Whether a release as of the partition `at` ships other SQL or lookups than the features of another were made by."""
        return bool(self.features) and _shipped(self.features[at]) != _shipped(self.features[then])

    def served_by(self, at: int, then: int) -> pl.DataFrame:
        """The rows of a partition with the features that a release as of the partition `at` computes. Raises NotComputable."""
        from ml_assets.core.contract.engine import request_fields
        from ml_assets.core.release.bundle import computation

        rows, key, product = self.served[then], list(self.product.features.key), self.product
        requests = rows.select(key).join(self.features[then].frame("requests.parquet"), on=key, how="left", maintain_order="left")
        return features_by(
            self.features[at],
            requests,
            about=computation(product, self.rows[at]),
            fields=request_fields(product.contract.Request),
            named=f"a release as of {self.keys[at]}",
        )


def _shipped(features: Handle) -> dict[str, str]:
    """The files of these features that a release ships, by the digests that its files are named by."""
    names = [name for name in features.members if name == FEATURES_SQL or name.startswith(LOOKUPS)]
    return {name: features.members[name].name for name in names}
