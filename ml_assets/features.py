"""features: the product's dbt models on DuckDB, one partition at a time, Parquet in and Parquet out."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.core.manifests import Manifest, Output
from ml_assets.core.partitions import partitions_of
from ml_assets.product import Product
from resources.assets import asset_key, materialized, partitions_def, spec, window_dep
from resources.workspace import Workspace


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The features asset."""
    deps: list[Any] = [window_dep(product, "dataset", first=-product.features.lookback)]
    if product.delivery.reference:
        deps.append(asset_key(product, "reference"))
    description = "The product's dbt models, joined point-in-time."
    features_spec = spec(product, "features", description, deps=deps, kinds={"dbt", "duckdb", "parquet"})

    @dg.multi_asset(name=f"{product.name}__features", specs=[features_spec], partitions_def=partitions_def(product))
    def features(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        key = context.partition_key
        inputs = workspace.lineage.reads(product, "features", key)
        recipe = workspace.lineage.recipe(product, "features", key, [m.as_input() for m in inputs])
        made = workspace.lineage.make(recipe, partial(compute, workspace, product, key, inputs), run=context.run.run_id)
        return materialized(product, made, _metadata(workspace, product, made.manifest))

    return [features]


def sources(workspace: Workspace, product: Product, inputs: Sequence[Manifest]) -> dict[str, list[Path]]:
    """The Parquet files of each dbt source ("dataset.<table>", "reference.<table>"), in partition order."""
    found: dict[str, list[Path]] = {}
    for manifest in inputs:
        stage = manifest.recipe.stage
        for table in product.delivery.reference if stage == "reference" else product.delivery.tables:
            path = workspace.snapshots.path(manifest.snapshot, f"{table}.parquet")
            found.setdefault(f"{stage}.{table}", []).append(path)
    return found


def compute(workspace: Workspace, product: Product, key: str, inputs: Sequence[Manifest]) -> Output:
    """The features of one partition from these datasets and reference tables."""
    from ml_assets.core.features import assemble

    start, end = partitions_of(product).window(key)
    built = workspace.dbt.build(product, sources=sources(workspace, product, inputs), partition=(key, start, end))
    return assemble(
        product=product,
        requests=built.requests,
        labels=built.labels,
        features=built.features,
        lookups=built.lookups,
        sql=built.features_sql,
    )


def _metadata(workspace: Workspace, product: Product, manifest: Manifest) -> dict[str, Any]:
    described = workspace.dbt.columns(product)
    columns = [dg.TableColumn(c.name, c.type, c.description or None) for c in described]
    lineage = {
        column: [dg.TableColumnDep(asset_key(product, stage), name) for stage, name in origins]
        for column, origins in workspace.dbt.column_lineage(product).items()
    }
    rows, labelled = manifest.facts["rows"], manifest.facts["labelled"]
    return {
        "dagster/row_count": rows,
        "rows_labelled": labelled,
        "share_labelled": labelled / rows if rows else 0.0,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/column_lineage": dg.TableColumnLineage(lineage),
    }
