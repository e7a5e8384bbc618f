"""model: the candidate, fitted on the window of partitions that ends before its test window."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.core.manifests import Manifest, Output
from ml_assets.product import Product
from resources.assets import materialized, partitions_def, spec, window_dep
from resources.claims import features_claims
from resources.metadata import plots, small_table
from resources.mlflow import run_page
from resources.workspace import Workspace

if TYPE_CHECKING:
    from ml_assets.core.training import Fitted, Progress

LOG_EVERY = 20
"""Iterations between two lines of progress in the run's log."""


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The model asset. It is skipped while there are fewer training partitions than `window.minimum`."""
    window = product.window
    deps = [window_dep(product, "features", first=-(window.train + window.test - 1), last=-window.test)]
    model_spec = spec(product, "model", "The candidate, a CatBoost model.", deps=deps, kinds={"catboost", "mlflow"})

    @dg.multi_asset(
        name=f"{product.name}__model",
        specs=[model_spec.replace_attributes(skippable=True)],
        partitions_def=partitions_def(product),
    )
    def model(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> Iterator[dg.MaterializeResult[Any]]:
        key = context.partition_key
        inputs = workspace.lineage.reads(product, "model", key)
        if len(inputs) < window.minimum:
            context.log.info(f"{key}: {len(inputs)} training partitions, {window.minimum} needed: no candidate yet")
            return
        workspace.lineage.require_proven(inputs, features_claims(product))
        recipe = workspace.lineage.recipe(product, "model", key, [m.as_input() for m in inputs])
        made = workspace.lineage.make(recipe, partial(_fit, context, workspace, product, inputs), run=context.run.run_id)
        yield materialized(product, made, _metadata(workspace, made.manifest))

    return [model]


def _fit(context: dg.AssetExecutionContext, workspace: Workspace, product: Product, inputs: Sequence[Manifest]) -> Output:
    def progress(done: int, total: int, loss: float) -> None:
        if done % LOG_EVERY == 0 or done == total:
            context.log.info(f"{product.name} {context.partition_key}: {done} of {total} trees, training loss {loss:.5f}")

    fitted = train(workspace, product, inputs, progress=progress)
    logged = _log(context, workspace, product, fitted, inputs)
    return _output(product, fitted, inputs, logged)


def train(workspace: Workspace, product: Product, inputs: Sequence[Manifest], *, progress: "Progress | None" = None) -> "Fitted":
    """Fit on the rows of these features, partition after partition in the order given."""
    import polars as pl

    from ml_assets.core.features import model_columns
    from ml_assets.core.training import fit

    rows = pl.concat(workspace.snapshots.frame(m.snapshot, "features.parquet") for m in inputs)
    return fit(rows, product=product, columns=model_columns(product), progress=progress)


def _output(product: Product, fitted: "Fitted", inputs: Sequence[Manifest], logged: dict[str, str]) -> Output:
    from ml_assets.core.plots import feature_importance, learning_curve

    about = {
        "features": list(fitted.features),
        "learning_curve": list(fitted.learning_curve),
        "loss": fitted.loss_name,
        "importance": [list(pair) for pair in fitted.importance],
    }
    files = {
        "model.cbm": fitted.content,
        "model.json": json.dumps(about, indent=1).encode(),
        "plots/learning_curve.svg": learning_curve(
            {"training": list(enumerate(fitted.learning_curve, 1))}, metric=fitted.loss_name
        ),
        "plots/feature_importance.svg": feature_importance(fitted.importance),
    }
    trained = [m.partition for m in inputs]
    facts = {"rows": fitted.rows, "train": trained, "loss": fitted.learning_curve[-1]}
    return Output(files, {**facts, **logged}, data_version=fitted.fingerprint)


def _log(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    product: Product,
    fitted: "Fitted",
    inputs: Sequence[Manifest],
) -> dict[str, str]:
    """Log parameters, dataset digests, learning curve and importance to MLflow; returns where the run is."""
    from ml_assets.core.training import parameters
    from resources.mlflow import log_curve, run_facts

    with workspace.catalogue.run(context, product.name) as mlflow:
        logged = run_facts(mlflow)
        mlflow.log_params({**parameters(product), "train_first": inputs[0].partition, "train_last": inputs[-1].partition})
        mlflow.log_dict({m.partition: m.data_version for m in inputs}, "inputs/features.json")
        mlflow.log_dict(dict(fitted.importance), "feature_importance.json")
        mlflow.set_tags({"fingerprint": fitted.fingerprint, "product": product.name, "as_of": context.partition_key})
        mlflow.log_metrics({"train_rows": fitted.rows} | {f"importance/{n}": v for n, v in fitted.importance})
        log_curve(mlflow.tracking_client, logged["mlflow_run"], f"train_{fitted.loss_name}", fitted.learning_curve)
    return logged


def _metadata(workspace: Workspace, manifest: Manifest) -> dict[str, Any]:
    from ml_assets.core.thumbnails import thumbnail

    facts, train = manifest.facts, manifest.facts["train"]
    about = json.loads(workspace.snapshots.read(manifest.snapshot, "model.json"))
    losses = about["learning_curve"]
    curve = thumbnail("learning_curve", {"training": {"x": list(range(1, len(losses) + 1)), "y": losses}})
    return {
        "trained_on": f"{train[0]} to {train[-1]}, {len(train)} partitions",
        "feature_importance": small_table(["feature", "%"], [[name, f"{value:.1f}"] for name, value in about["importance"][:12]]),
        **({"learning_curve": dg.MetadataValue.md(curve)} if curve else {}),
        "plots": plots(workspace, manifest),
        "mlflow_run": run_page(workspace.settings.mlflow_ui, facts),
        "training_rows": facts["rows"],
        "training_loss": facts["loss"],
    }
