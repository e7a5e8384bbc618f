"""dataset and quarantine: rows that keep the contract, and rows that do not, each with its reason.

Nothing is published for a batch that breaches the contract: the last good partition stays.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ml_assets.services.build_snapshots import make_dataset
from ml_assets.services.dagster_ui.snapshot_metadata import tables_shown
from ml_assets.spec.product import Product
from resources.dagster_assets import declaration, materialized, partitions_def
from resources.dagster_retries import retried
from resources.lineage import Lineage


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The dataset and quarantine assets, computed in one step from one audit."""
    specs = [
        dg.AssetSpec(**declaration(product, "dataset", "Rows that keep the contract.", kinds={"polars", "parquet", "pandera"})),
        dg.AssetSpec(**declaration(product, "quarantine", "Refused rows, each with its reason.", kinds={"polars", "parquet"})),
    ]

    @dg.multi_asset(name=f"{product.name}__dataset", specs=specs, partitions_def=partitions_def(product))
    @retried
    def dataset(context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage]) -> Iterator[dg.MaterializeResult[Any]]:
        for result in make_dataset(lineage, product, context.partition_key, run=context.run.run_id):
            yield materialized(product, result, tables_shown(lineage.snapshots, product, result.manifest))

    return [dataset]
