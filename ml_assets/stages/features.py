"""features: the product's dbt models on DuckDB, one partition at a time, Parquet in and Parquet out."""

from functools import partial
from typing import Any

import dagster as dg

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.build_snapshots import make_features
from ml_assets.services.dagster_ui.snapshot_metadata import features_shown, models_shown, outcomes_shown, tables_shown
from ml_assets.services.evidence import Finding
from ml_assets.services.stale_inputs import RebuildListener, bring_up_to_date
from ml_assets.spec.product import Product
from resources.dagster_assets import asset_key, declaration, materialized
from resources.dagster_retries import retried
from resources.dbt.build import Dbt
from resources.landing import Landing
from resources.lineage import Build, Lineage
from resources.store.snapshots import Snapshots


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The features asset. It first rebuilds what is stale of all that it and the rest of the run read."""
    description = "The product's dbt models, joined point-in-time."
    described = declaration(product, "features", description, kinds={"dbt", "duckdb", "parquet"})

    @dg.asset(**described, metadata=models_shown(product))
    @retried
    def features(
        context: dg.AssetExecutionContext,
        lineage: dg.ResourceParam[Lineage],
        landing: dg.ResourceParam[Landing],
        dbt: dg.ResourceParam[Dbt],
    ) -> dg.MaterializeResult[Any]:
        key, run = context.partition_key, context.run.run_id
        is_trained = asset_key(product, "model") in context.job_def.asset_layer.selected_asset_keys
        events = _events(context, lineage.snapshots, dbt, product)
        bring_up_to_date(lineage, landing, dbt, product, key, is_trained=is_trained, run=run, listener=events)
        result = make_features(lineage, dbt, product, key, run=run)
        return materialized(product, result, features_shown(lineage.snapshots, dbt, product, result.manifest))

    return [features]


def _events(context: dg.AssetExecutionContext, snapshots: Snapshots, dbt: Dbt, product: Product) -> RebuildListener:
    """A rebuild of other partitions, as events of this run: their materializations and their checks' results."""

    def log_materialization(result: Build) -> None:
        shown = {
            "features": partial(features_shown, snapshots, dbt, product),
            "outcomes": partial(outcomes_shown, product),
        }.get(result.manifest.recipe.stage, partial(tables_shown, snapshots, product))
        materialization = materialized(product, result, shown(result.manifest))
        tags = {"dagster/data_version": result.manifest.data_version}
        partition = result.manifest.partition or None
        assert materialization.asset_key is not None
        context.log_event(
            dg.AssetMaterialization(materialization.asset_key, partition=partition, metadata=materialization.metadata, tags=tags)
        )

    def checked(manifest: Manifest, finding: Finding, is_reused: bool) -> None:
        key = asset_key(product, manifest.recipe.stage)
        metadata = {**finding.details, "reused": dg.MetadataValue.bool(is_reused)}
        context.log_event(
            dg.AssetCheckEvaluation(
                key,
                finding.claim,
                finding.passed,
                metadata=metadata,
                severity=dg.AssetCheckSeverity[finding.severity],
                description=finding.description,
                partition=manifest.partition or None,
            )
        )

    return RebuildListener(
        say=lambda words: context.log.info(f"{product.name}: {words}"), built=log_materialization, checked=checked
    )
