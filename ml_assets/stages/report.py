"""report: an evaluation as people look at it. A leaf: nothing is made from it, and it runs after all that decides."""

from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import ReportFacts
from ml_assets.services.comparisons import compared_before
from ml_assets.services.dagster_ui.metadata import plots
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.dagster_assets import INFORMS, materialized, partitions_def, spec
from resources.workspace import Workspace


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The report asset."""
    description = "Pictures of the evaluation and Evidently's page. It informs and decides nothing."
    report_spec = spec(product, "report", description, kinds={"evidently"})

    @dg.multi_asset(
        name=f"{product.name}__report", specs=[report_spec], partitions_def=partitions_def(product), op_tags=INFORMS["report"]
    )
    def report(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        from ml_assets.builders.report import Reported, build

        key, lineage = context.partition_key, workspace.lineage
        refuse_stale(workspace, product, "report", key)
        evaluation = lineage.current(product, "evaluation", key)
        compared = compared_before(workspace, product, evaluation)
        inputs = {each.id: each for each in (compared.model, evaluation, *compared.before, *compared.tested)}
        recipe = lineage.recipe(product, "report", key, [each.as_input() for each in inputs.values()])
        made = lineage.make(
            recipe,
            lambda: build(Reported(lineage.handle(evaluation), compared.read(workspace)), product, key),
            run=context.run.run_id,
        )
        left_out = ReportFacts.of(made.manifest).left_out
        metadata = {
            "plots": plots(workspace, made.manifest),
            "not_drawn": "; ".join(left_out) or "nothing",
            "page": dg.MetadataValue.md(f"`ml-assets report {product.name} --partition {key}`"),
        }
        return materialized(product, made, metadata)

    return [report]
