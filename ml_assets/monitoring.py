"""monitoring: a new partition against the release that answered when it came in."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg

from ml_assets.core.manifests import Manifest, Output
from ml_assets.product import Product
from resources.assets import asset_key, materialized, partitions_def, spec
from resources.metadata import pictures, plots, small_table
from resources.workspace import Workspace


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The monitoring asset. It hangs on features alone, so that a refused candidate does not blind it; it is skipped
    while no release has answered."""
    description = "Data drift, prediction drift and realised metrics of the release that answered."
    deps = [asset_key(product, "features")]
    monitoring_spec = spec(product, "monitoring", description, deps=deps, kinds={"polars"})

    @dg.multi_asset(
        name=f"{product.name}__monitoring",
        specs=[monitoring_spec.replace_attributes(skippable=True)],
        partitions_def=partitions_def(product),
    )
    def monitoring(
        context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        key = context.partition_key
        champion = workspace.lineage.answered(product, before=key)
        if champion is None:
            context.log.info(f"{key}: no release as of an earlier partition answers, nothing to monitor")
            return
        features = workspace.lineage.current(product, "features", key)
        recipe = workspace.lineage.recipe(product, "monitoring", key, [features.as_input(), champion.as_input()])
        made = workspace.lineage.make(recipe, partial(_observe, workspace, product, features, champion), run=context.run.run_id)
        yield materialized(product, made, _metadata(workspace, champion, made.manifest))

    return [monitoring]


def _observe(workspace: Workspace, product: Product, features: Manifest, champion: Manifest) -> Output:
    from ml_assets.core.observing import observe
    from ml_assets.core.scoring import load_model, score_frame

    read = workspace.snapshots.read
    frame = workspace.snapshots.frame(features.snapshot, "features.parquet")
    model = load_model(workspace.snapshots.path(champion.snapshot, "model.cbm"), task=product.task)
    scores = score_frame(model, frame, json.loads(read(champion.snapshot, "bundle.json"))["features"])
    evidence = json.loads(read(champion.snapshot, "evidence.json"))
    promised = evidence["metrics"].get(product.monitoring.metric)
    return observe(
        frame,
        scores,
        product=product,
        profile=json.loads(read(champion.snapshot, "profile.json")),
        promised=promised["candidate"]["value"] if promised else None,
    )


def _metadata(workspace: Workspace, champion: Manifest, manifest: Manifest) -> dict[str, Any]:
    facts, snapshot = manifest.facts, workspace.snapshots.open(manifest.snapshot)
    drift = json.loads(workspace.snapshots.read(manifest.snapshot, "drift.json"))
    is_known = "metrics.json" in snapshot.members
    measured = pictures(json.loads(workspace.snapshots.read(manifest.snapshot, "metrics.json"))) if is_known else {}
    values = {name: each["candidate"]["value"] for name, each in (facts["metrics"] or {}).items()}
    return {
        "release": champion.facts["release"],
        "drifted": ", ".join(facts["drifted"]) or "none",
        "drift": small_table(["column", "PSI"], [[c["column"], f"{c['psi']:.3f}"] for c in drift["columns"][:15]]),
        **measured,
        "plots": plots(workspace, manifest),
        "score_psi": facts["score_psi"],
        "columns_drifted": len(facts["drifted"]),
        "rows": facts["rows"],
        **{f"realised_{name}": value for name, value in values.items() if value is not None},
    }
