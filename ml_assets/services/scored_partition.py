"""The snapshots of a partition that the release which served when it came in scores: monitoring and predictions."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from ml_assets.core.lineage.manifests import Manifest, Output
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.dagster_assets import report_warm_up
from resources.lineage import Build, Lineage

if TYPE_CHECKING:
    from ml_assets.builders.monitoring import Served


def scored_partition(
    context: dg.AssetExecutionContext,
    lineage: Lineage,
    product: Product,
    stage: str,
    build: "Callable[[Served, Product, str], Output]",
) -> tuple[Build, Manifest] | None:
    """The output of `build` on the partition's features and the release, and the release; None while none has served. Raises
    InputStale."""
    from ml_assets.builders.monitoring import Served

    key = context.partition_key
    release = lineage.scorer(product, stage, key)
    if release is None:
        why = "no release as of an earlier partition serves, nothing to score it with"
        context.log.info(f"{key}: {why}")
        report_warm_up(context, product, [stage], key, why)
        return None
    refuse_stale(lineage, product, stage, key)
    features = lineage.current(product, "features", key)
    recipe = lineage.recipe(product, stage, key, [features.as_input(), release.as_input()])

    def output() -> Output:
        return build(Served(lineage.handle(features), lineage.handle(release)), product, key)

    return lineage.make(recipe, output, run=context.run.run_id), release
