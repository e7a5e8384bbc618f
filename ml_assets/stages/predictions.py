"""predictions: a new partition's requests, scored at once by the release that served when it came in."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import PredictionsFacts
from ml_assets.services.scored_partition import scored_partition
from ml_assets.spec.product import Product
from resources.dagster_assets import RUNS_LAST, declaration, materialized
from resources.dagster_retries import retried
from resources.lineage import Lineage


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The predictions asset. Like monitoring it hangs on features alone and is skipped while no release has served."""
    description = "Batch scores of the release that served, by its own features, as its log has them."

    described = declaration(product, "predictions", description, kinds={"catboost", "parquet"})

    @dg.asset(**described, output_required=False, op_tags=RUNS_LAST["predictions"])
    @retried
    def predictions(context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage]) -> Iterator[dg.MaterializeResult[Any]]:
        from ml_assets.builders.predictions import build

        if (scored := scored_partition(context, lineage, product, "predictions", build)) is not None:
            result, _ = scored
            facts = PredictionsFacts.of(result.manifest)
            yield materialized(product, result, {"release": facts.scored_by, "rows": facts.rows})

    return [predictions]
