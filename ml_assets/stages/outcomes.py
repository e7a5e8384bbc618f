"""outcomes: what the questions of a partition turned out to be, apart from their features."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ml_assets.core.lineage.reads import has_labels
from ml_assets.services.build_snapshots import make_outcomes
from ml_assets.services.dagster_ui.snapshot_metadata import outcomes_shown
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.dagster_assets import declaration, materialized
from resources.dagster_retries import retried
from resources.landing import Landing
from resources.lineage import Lineage


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The outcomes asset of a product that declares `labels`."""
    if not has_labels(product):
        return []
    description = "Labels of their own, outside of the features: as delivered, held to their contract."

    @dg.asset(**declaration(product, "outcomes", description, kinds={"polars", "parquet"}))
    @retried
    def outcomes(
        context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage], landing: dg.ResourceParam[Landing]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        key = context.partition_key
        refuse_stale(lineage, product, "outcomes", key)
        result = make_outcomes(lineage, landing, product, key, run=context.run.run_id)
        yield materialized(product, result, outcomes_shown(product, result.manifest))

    return [outcomes]
