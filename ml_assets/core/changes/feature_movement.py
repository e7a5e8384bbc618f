"""Differences between the features of the same rows on both sides."""

import polars as pl

from ml_assets.core.changes.head_against_base import SideRows
from ml_assets.core.changes.walk_protocol import MovedFeature
from ml_assets.spec.product import Product

_WINDOW = "its window"


def movements(base: SideRows, head: SideRows, product: Product) -> list[MovedFeature]:
    """The features that differ, in base's order, then those that were added. Rows are joined by window and key."""
    key = list(product.features.key)
    apart = {*key, *product.features.labels}
    own, other = _tagged(base, "base", key), _tagged(head, "head", key)
    joint = own.join(other, on=[*key, _WINDOW], how="inner")
    moved = [_moved(joint, name, head.rows.columns) for name in base.rows.columns if name not in apart]
    added = [MovedFeature(feature=name, effect="added") for name in head.rows.columns if name not in {*base.rows.columns, *apart}]
    return [change for change in moved if change is not None] + added


def _tagged(side: SideRows, tag: str, key: list[str]) -> pl.DataFrame:
    named = [pl.col(name) if name in key else pl.col(name).alias(f"{tag} {name}") for name in side.rows.columns]
    return side.rows.select(named).with_columns(side.windows.alias(_WINDOW))


def _moved(joint: pl.DataFrame, name: str, there: list[str]) -> MovedFeature | None:
    if name not in there:
        return MovedFeature(feature=name, effect="removed")
    was, now = joint[f"base {name}"], joint[f"head {name}"]
    texts = [was, now] if was.dtype == now.dtype else [values.cast(pl.String) for values in (was, now)]
    share = float(texts[0].ne_missing(texts[1]).sum()) / max(1, joint.height)
    if not share:
        return None
    return MovedFeature(feature=name, effect="changed", share=share, base_mean=_mean(was), head_mean=_mean(now))


def _mean(values: pl.Series) -> float | None:
    mean = values.cast(pl.Float64).mean() if values.dtype.is_numeric() or values.dtype == pl.Boolean else None
    return mean if isinstance(mean, float) else None
