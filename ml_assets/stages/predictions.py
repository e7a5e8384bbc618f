"""predictions: a new partition's requests, scored at once by the release that served when it came in."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import PredictionsFacts
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.dagster_assets import RUNS_LAST, declaration, materialized, report_warm_up
from resources.dagster_retries import retried
from resources.lineage import Lineage


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The predictions asset. Like monitoring it hangs on features alone and is skipped while no release has served."""
    description = "Batch scores of the release that served, by its own features, as its log has them."

    described = declaration(product, "predictions", description, kinds={"catboost", "parquet"})

    @dg.asset(**described, output_required=False, op_tags=RUNS_LAST["predictions"])
    @retried
    def predictions(context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage]) -> Iterator[dg.MaterializeResult[Any]]:
        from ml_assets.builders.monitoring import Served
        from ml_assets.builders.predictions import build

        key = context.partition_key
        release = lineage.scorer(product, "predictions", key)
        if release is None:
            why = "no release as of an earlier partition serves, nothing scores"
            context.log.info(f"{key}: {why}")
            report_warm_up(context, product, ["predictions"], key, why)
            return
        refuse_stale(lineage, product, "predictions", key)
        features = lineage.current(product, "features", key)
        recipe = lineage.recipe(product, "predictions", key, [features.as_input(), release.as_input()])
        result = lineage.make(
            recipe,
            lambda: build(Served(lineage.handle(features), lineage.handle(release)), product, key),
            run=context.run.run_id,
        )
        facts = PredictionsFacts.of(result.manifest)
        yield materialized(product, result, {"release": facts.scored_by, "rows": facts.rows})

    return [predictions]
