"""tracking: the evaluation as an MLflow run, and its release as a registered version. A leaf, after every stage that decides."""

from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import TrackingFacts
from ml_assets.services.dagster_ui.metadata import link
from ml_assets.spec.product import Product
from resources.dagster_assets import RUNS_LAST, declaration, materialized
from resources.dagster_retries import retried
from resources.lineage import Lineage
from resources.settings import Settings
from resources.tracking.mlflow_catalogue import Catalogue


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The tracking asset."""
    description = "The MLflow run of an evaluation and the registered version of its release. It informs and decides nothing."
    described = declaration(product, "tracking", description, kinds={"mlflow"})

    @dg.asset(**described, op_tags=RUNS_LAST["tracking"])
    @retried
    def tracking(
        context: dg.AssetExecutionContext,
        lineage: dg.ResourceParam[Lineage],
        tracking: dg.ResourceParam[Catalogue],
        settings: dg.ResourceParam[Settings],
    ) -> dg.MaterializeResult[Any]:
        from ml_assets.services.mlflow_catalogue import kept_release, log, register_kept, show, tracked
        from resources.tracking.mlflow_catalogue import TRAINING_VIEW, run_page

        key = context.partition_key
        what = tracked(lineage, product, key)
        inputs = [manifest.as_input() for manifest in (what.model, what.evaluation, what.release) if manifest is not None]
        recipe = lineage.recipe(product, "tracking", key, inputs)
        result = lineage.make(
            recipe, lambda: log(context, lineage, tracking, product, what, ui=settings.mlflow_ui), run=context.run.run_id
        )
        facts, ui = TrackingFacts.of(result.manifest), settings.mlflow_ui
        kept, version = kept_release(lineage, product, key), facts.version
        if kept is not None:
            version = register_kept(lineage, tracking, product, kept, mlflow_run=facts.mlflow_run)
        show(lineage, tracking, product, what.release or kept)
        page = f"{ui}/#/models/{product.name}/versions/{version}{TRAINING_VIEW}"
        metadata = {
            "mlflow_run": link(f"run {facts.mlflow_run[:8]}", run_page(ui, facts)),
            "registered": link(f"{product.name} version {version}", page) if version else "no version: nothing was released",
            "report": link("Evidently's page", run_page(ui, facts, artifact="evaluation/report.html")),
        }
        return materialized(product, result, metadata)

    return [tracking]
