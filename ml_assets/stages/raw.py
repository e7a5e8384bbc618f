"""raw and reference: what the source delivered, row for row, with the delivered bytes kept next to it."""

from typing import Any

import dagster as dg

from ml_assets.services.automation.attempts import Landed, begin
from ml_assets.services.build_snapshots import make_raw, make_reference
from ml_assets.services.dagster_ui.snapshot_metadata import tables_shown
from ml_assets.spec.product import Product
from resources.dagster_assets import declaration, materialized
from resources.dagster_retries import retried
from resources.landing import Landing
from resources.lineage import Lineage
from resources.settings import Settings
from resources.store.temp_files import clear_home


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The raw asset of the product and, if it has reference tables, its reference asset."""

    @dg.asset(**declaration(product, "raw", "Rows as the source delivered them.", kinds={"polars", "parquet"}))
    @retried
    def raw(
        context: dg.AssetExecutionContext,
        lineage: dg.ResourceParam[Lineage],
        landing: dg.ResourceParam[Landing],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult[Any]:
        clear_home(settings)  # the path begins here
        landed = Landed(landing, product, settings.cache)
        begin(lineage, landed, context.partition_key, run=context.run.run_id, tags=context.run.tags)
        result = make_raw(lineage, landing, product, context.partition_key, run=context.run.run_id)
        return materialized(product, result, tables_shown(lineage.snapshots, product, result.manifest))

    return [raw, *([_reference(product)] if product.delivery.reference else [])]


def _reference(product: Product) -> dg.AssetsDefinition:
    description = "Reference tables that keep the contract; redelivered when they change."

    @dg.asset(**declaration(product, "reference", description, kinds={"polars", "parquet", "pandera"}))
    @retried
    def reference(
        context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage], landing: dg.ResourceParam[Landing]
    ) -> dg.MaterializeResult[Any]:
        result = make_reference(lineage, landing, product, run=context.run.run_id)
        return materialized(product, result, tables_shown(lineage.snapshots, product, result.manifest))

    return reference
