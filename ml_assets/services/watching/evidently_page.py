"""Evidently's page of a partition's drift, on request: it draws what the verdict compares, and says what the verdict says."""

import polars as pl

from ml_assets.core.drift.verdict import DriftVerdict
from ml_assets.core.evaluation.evidently_report import ColumnShift, drift_report
from ml_assets.spec.product import Product
from resources.lineage import Lineage, NotMaterialized

FRAME = "features.parquet"


def evidently_page(lineage: Lineage, product: Product, verdict: DriftVerdict) -> bytes:
    """The page as HTML. Raises NotMaterialized where there is no earlier partition to compare with."""
    key = verdict.partition
    if not verdict.references:
        raise NotMaterialized(f"{product.name} {key}: {verdict.why}; Evidently's page needs earlier partitions to compare with")
    current = lineage.snapshots.frame(lineage.current(product, "features", key).snapshot, FRAME)
    earlier = [lineage.snapshots.frame(digest, FRAME) for digest in verdict.references.values()]
    reference = pl.concat(earlier, how="diagonal_relaxed")
    watched = [
        name
        for name in current.columns
        if name in reference.columns and name not in {*product.features.key, product.features.time, *product.monitoring.ignore}
    ]
    numeric = [name for name in watched if current.schema[name].is_numeric()]
    return drift_report(
        reference,
        current,
        numeric=numeric,
        categorical=[name for name in watched if name not in numeric],
        title=f"Drift of {product.name} {key}",
        verdict=f"the verdict on the data: {verdict.sentence}",
        moved={name: ColumnShift(band.moved, band.high, name in verdict.exceeds) for name, band in verdict.bands.items()},
        seed=product.model.seed,
    )
