"""Test rows whose key was trained on: where a key that comes again is the same thing again, they judge nothing."""

import polars as pl

from ml_assets.core.model.training import labelled
from ml_assets.spec.product import Product


def unseen(tested: pl.DataFrame, trained: pl.DataFrame, *, product: Product) -> pl.DataFrame:
    """The rows of a test window, in order, without those whose key is one of a row that was trained on: a row of `trained` with a
    known label. All of them where the product allows keys in more than one partition.

    A champion may have been trained on older rows than the candidate: what it knows of test rows by that lets it look better, and
    no candidate.
    """
    if product.keys.across_partitions == "allow" or trained.is_empty():
        return tested
    key = list(product.features.key)
    known = labelled(trained, label=product.features.label).select(key).unique()
    return tested.join(known, on=key, how="anti", nulls_equal=True, maintain_order="left")
