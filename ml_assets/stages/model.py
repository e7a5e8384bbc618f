"""model: the candidate, fitted on the window of partitions that ends before its test window."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.core.lineage.facts import ModelFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.claims import features_claims
from ml_assets.services.dagster_ui.metadata import small_table
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.dagster_assets import materialized, partitions_def, spec
from resources.workspace import Workspace

if TYPE_CHECKING:
    from ml_assets.core.model.training import Progress

LOG_EVERY = 20
"""Iterations between two lines of progress in the run's log."""


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The model asset. It is skipped while there are fewer training partitions than `window.minimum`."""
    window = product.window
    model_spec = spec(product, "model", "The candidate, a CatBoost model.", kinds={"catboost"})

    @dg.multi_asset(
        name=f"{product.name}__model",
        specs=[model_spec.replace_attributes(skippable=True)],
        partitions_def=partitions_def(product),
    )
    def model(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[dg.MaterializeResult[Any]]:
        from ml_assets.builders.model import build

        key, lineage = context.partition_key, workspace.lineage
        refuse_stale(workspace, product, "model", key)
        inputs = lineage.reads(product, "model", key)
        if len(inputs) < window.minimum:
            context.log.info(f"{key}: {len(inputs)} training partitions, {window.minimum} needed: no candidate yet")
            return
        lineage.require_proven(inputs, features_claims(product))
        recipe = lineage.recipe(product, "model", key, [m.as_input() for m in inputs])
        progress = _progress(context, product)
        made = lineage.make(recipe, lambda: build([*map(lineage.handle, inputs)], product, key, progress), run=context.run.run_id)
        yield materialized(product, made, _metadata(workspace, made.manifest))

    return [model]


def _progress(context: dg.AssetExecutionContext, product: Product) -> "Progress":
    def progress(done: int, total: int, loss: float) -> None:
        if done % LOG_EVERY == 0 or done == total:
            context.log.info(f"{product.name} {context.partition_key}: {done} of {total} trees, training loss {loss:.5f}")

    return progress


def _metadata(workspace: Workspace, manifest: Manifest) -> dict[str, Any]:
    from ml_assets.core.plots.thumbnails import thumbnail

    facts = ModelFacts.of(manifest)
    about = json.loads(workspace.snapshots.read(manifest.snapshot, "model.json"))
    losses = about["learning_curve"]
    curve = thumbnail("learning_curve", {"training": {"x": list(range(1, len(losses) + 1)), "y": losses}})
    return {
        "trained_on": f"{facts.train[0]} to {facts.train[-1]}, {len(facts.train)} partitions",
        "feature_importance": small_table(["feature", "%"], [[name, f"{value:.1f}"] for name, value in about["importance"][:12]]),
        **({"learning_curve": dg.MetadataValue.md(curve)} if curve else {}),
        "training_rows": facts.rows,
        "training_loss": facts.loss,
    }
