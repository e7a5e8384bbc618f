"""report: an evaluation as people look at it. A leaf: nothing is built from it, and it runs after every stage that decides."""

from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import ReportFacts
from ml_assets.services.comparisons import compared_before
from ml_assets.services.dagster_ui.metadata import plots
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.dagster_assets import RUNS_LAST, declaration, materialized
from resources.dagster_retries import retried
from resources.lineage import Lineage


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The report asset."""
    description = "Pictures of the evaluation and Evidently's page. It informs and decides nothing."

    @dg.asset(**declaration(product, "report", description, kinds={"evidently"}), op_tags=RUNS_LAST["report"])
    @retried
    def report(context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage]) -> dg.MaterializeResult[Any]:
        from ml_assets.builders.report import Reported, build

        key = context.partition_key
        refuse_stale(lineage, product, "report", key)
        evaluation = lineage.current(product, "evaluation", key)
        compared = compared_before(lineage, product, evaluation)
        inputs = {manifest.id: manifest for manifest in (compared.model, evaluation, *compared.before, *compared.tested)}
        recipe = lineage.recipe(product, "report", key, [manifest.as_input() for manifest in inputs.values()])
        result = lineage.make(
            recipe,
            lambda: build(Reported(lineage.handle(evaluation), compared.read(lineage)), product, key),
            run=context.run.run_id,
        )
        left_out = ReportFacts.of(result.manifest).left_out
        metadata = {
            "plots": plots(lineage.snapshots, result.manifest),
            "not_drawn": "; ".join(left_out) or "nothing",
            "page": dg.MetadataValue.md(f"`ml-assets report {product.name} --partition {key}`"),
        }
        return materialized(product, result, metadata)

    return [report]
