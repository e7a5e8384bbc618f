"""raw and reference: what the source delivered, row for row, with the delivered bytes kept beside it."""

from typing import Any

import dagster as dg

from ml_assets.services.build_snapshots import make_raw, make_reference
from ml_assets.services.dagster_ui.snapshot_metadata import shown
from ml_assets.spec.product import Product
from resources.dagster_assets import materialized, partitions_def, spec
from resources.store.temp_files import clear_home
from resources.workspace import Workspace


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The raw asset of the product and, if it has reference tables, its reference asset."""
    raw_spec = spec(product, "raw", "Rows as the source delivered them.", kinds={"polars", "parquet"})

    @dg.multi_asset(name=f"{product.name}__raw", specs=[raw_spec], partitions_def=partitions_def(product))
    def raw(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        clear_home(workspace.settings)  # the path begins here
        made = make_raw(workspace, product, context.partition_key, run=context.run.run_id)
        return materialized(product, made, shown(workspace, product, made.manifest))

    return [raw, *([_reference(product)] if product.delivery.reference else [])]


def _reference(product: Product) -> dg.AssetsDefinition:
    description = "Reference tables that keep the contract; redelivered when they change."

    @dg.multi_asset(
        name=f"{product.name}__reference",
        specs=[spec(product, "reference", description, kinds={"polars", "parquet", "pandera"})],
    )
    def reference(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        made = make_reference(workspace, product, run=context.run.run_id)
        return materialized(product, made, shown(workspace, product, made.manifest))

    return reference
