"""predictions: a new partition's requests, scored at once by the release that answered when it came in."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg

from ml_assets.core.manifests import Manifest, Output
from ml_assets.product import Product
from resources.assets import asset_key, materialized, partitions_def, spec
from resources.workspace import Workspace

MEMBER = "predictions.parquet"


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The predictions asset. Like monitoring it hangs on features alone and is skipped while no release has answered."""
    description = "Batch scores of the release that answered, by the endpoint's own loader, as its log has them."
    deps = [asset_key(product, "features")]
    predictions_spec = spec(product, "predictions", description, deps=deps, kinds={"catboost", "parquet"})

    @dg.multi_asset(
        name=f"{product.name}__predictions",
        specs=[predictions_spec.replace_attributes(skippable=True)],
        partitions_def=partitions_def(product),
    )
    def predictions(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        key = context.partition_key
        champion = workspace.lineage.answered(product, before=key)
        if champion is None:
            context.log.info(f"{key}: no release as of an earlier partition answers, nothing scores")
            return
        features = workspace.lineage.current(product, "features", key)
        recipe = workspace.lineage.recipe(product, "predictions", key, [features.as_input(), champion.as_input()])
        made = workspace.lineage.make(recipe, partial(_score, workspace, features, champion), run=context.run.run_id)
        facts = made.manifest.facts
        yield materialized(product, made, {"release": facts["scored_by"], "rows": facts["rows"]})

    return [predictions]


def _score(workspace: Workspace, features: Manifest, champion: Manifest) -> Output:
    from ml_assets.serving.batch_predictions import batch_predictions
    from ml_assets.serving.bundle import load

    snapshots = workspace.snapshots
    bundle = load(snapshots.checkout(champion.snapshot), digests=snapshots.open(champion.snapshot).members)
    rows = snapshots.frame(features.snapshot, "features.parquet")
    content = batch_predictions(
        bundle,
        champion.snapshot,
        features=rows,
        requests=snapshots.frame(features.snapshot, "requests.parquet"),
        source=features.data_version,
    )
    return Output({MEMBER: content}, {"scored_by": bundle.release, "rows": rows.height})
