"""predictions: a new partition's requests, scored at once by the release that served when it came in."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import PredictionsFacts
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.dagster_assets import materialized, partitions_def, spec
from resources.workspace import Workspace


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The predictions asset. Like monitoring it hangs on features alone and is skipped while no release has served."""
    description = "Batch scores of the release that served, by its own features, as its log has them."
    predictions_spec = spec(product, "predictions", description, kinds={"catboost", "parquet"})

    @dg.multi_asset(
        name=f"{product.name}__predictions",
        specs=[predictions_spec.replace_attributes(skippable=True)],
        partitions_def=partitions_def(product),
    )
    def predictions(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        from ml_assets.builders.monitoring import Served
        from ml_assets.builders.predictions import build

        key, lineage = context.partition_key, workspace.lineage
        release = lineage.answered(product, before=key)
        if release is None:
            context.log.info(f"{key}: no release as of an earlier partition serves, nothing scores")
            return
        refuse_stale(workspace, product, "predictions", key)
        features = lineage.current(product, "features", key)
        recipe = lineage.recipe(product, "predictions", key, [features.as_input(), release.as_input()])
        made = lineage.make(
            recipe,
            lambda: build(Served(lineage.handle(features), lineage.handle(release)), product, key),
            run=context.run.run_id,
        )
        facts = PredictionsFacts.of(made.manifest)
        yield materialized(product, made, {"release": facts.scored_by, "rows": facts.rows})

    return [predictions]
