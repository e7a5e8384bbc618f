"""tracking: the evaluation as an MLflow run, and its release as a registered version. A leaf, after all that decides."""

from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import TrackingFacts
from ml_assets.spec.product import Product
from resources.dagster_assets import INFORMS, materialized, partitions_def, spec
from resources.workspace import Workspace

RETRIES = dg.RetryPolicy(max_retries=2, delay=1)
"""MLflow may be a server, and busy."""


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The tracking asset."""
    description = "The MLflow run of an evaluation and the registered version of its release. It informs and decides nothing."
    tracking_spec = spec(product, "tracking", description, kinds={"mlflow"})

    @dg.multi_asset(
        name=f"{product.name}__tracking",
        specs=[tracking_spec],
        partitions_def=partitions_def(product),
        op_tags=INFORMS["tracking"],
        retry_policy=RETRIES,
    )
    def tracking(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        from ml_assets.services.mlflow_catalogue import log, show, tracked
        from resources.tracking.mlflow_catalogue import TRAINING_VIEW, run_page

        key, lineage = context.partition_key, workspace.lineage
        what = tracked(workspace, product, key)
        inputs = [each.as_input() for each in (what.model, what.evaluation, what.release) if each is not None]
        recipe = lineage.recipe(product, "tracking", key, inputs)
        made = lineage.make(recipe, lambda: log(context, workspace, product, what), run=context.run.run_id)
        show(workspace, product, what.release)
        facts, ui = TrackingFacts.of(made.manifest), workspace.settings.mlflow_ui
        page = f"{ui}/#/models/{product.name}/versions/{facts.version}{TRAINING_VIEW}"
        metadata = {
            "mlflow_run": run_page(ui, facts),
            "registered": dg.MetadataValue.url(page) if facts.version else "no version: nothing was released",
            "report": run_page(ui, facts, artifact="evaluation/report.html"),
        }
        return materialized(product, made, metadata)

    return [tracking]
