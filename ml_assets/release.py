"""release: a registered, immutable bundle with its evidence; refused, with every reason, without it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.core.consent import Override
from ml_assets.core.manifests import Manifest, Output, Recipe
from ml_assets.errors import MlAssetsError
from ml_assets.product import Product
from resources.assets import asset_key, materialized, partitions_def, spec
from resources.metadata import small_table
from resources.mlflow import TRAINING_VIEW
from resources.workspace import Workspace

if TYPE_CHECKING:
    import polars as pl


class ReleaseRefused(MlAssetsError):
    """The evidence does not let exactly this model be released."""


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The release asset."""
    deps = [asset_key(product, stage) for stage in ("model", "evaluation", "features")]
    description = "A registered, immutable bundle with its evidence."
    release_spec = spec(product, "release", description, deps=deps, kinds={"mlflow", "catboost"})

    @dg.multi_asset(name=f"{product.name}__release", specs=[release_spec], partitions_def=partitions_def(product))
    def release(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        key = context.partition_key
        inputs = [*_trained_on(workspace, product, key), *workspace.lineage.reads(product, "release", key)]
        override = _refuse_without_evidence(workspace, product, key, run=context.run.run_id)
        recipe = workspace.lineage.recipe(product, "release", key, [m.as_input() for m in inputs])
        made = workspace.lineage.make(recipe, partial(_bundle, workspace, product, recipe, override), run=context.run.run_id)
        version = _register(workspace, product, made.manifest)
        return materialized(product, made, _metadata(workspace, product, made.manifest, version))

    return [release]


def _trained_on(workspace: Workspace, product: Product, key: str) -> list[Manifest]:
    """The features that the model was trained on, where the release keeps which categories they hold."""
    if not product.endpoint.refused_categories:
        return []
    return workspace.lineage.inputs(workspace.lineage.current(product, "model", key))


def _refuse_without_evidence(workspace: Workspace, product: Product, key: str, *, run: str) -> Override | None:
    """Refuse, and record it, what the record does not let through; returns the override by which it is let through, if any."""
    from ml_assets.core.approval import leave, refusals
    from resources.standing import unrecorded

    model = workspace.lineage.current(product, "model", key)
    evaluation = workspace.lineage.current(product, "evaluation", key)
    baselines = workspace.lineage.baselines(product, key, question=evaluation.facts["question"])
    compared = {role: release.snapshot for role, release in baselines.by_role.items()}
    override = workspace.decisions.override(evaluation, model)
    reasons = refusals(product, model=model, evaluation=evaluation, compared=compared, override=override)
    if reasons := [*reasons, *unrecorded(workspace, product, evaluation)]:
        told = {"product": product.name, "stage": "release", "partition": key, "model": model.id, "reasons": reasons}
        workspace.ledger.append("refusal", {**told, "evaluation": evaluation.id, "run": run})
        raise ReleaseRefused(
            f"{product.name} {key}: refused to release model {model.data_version[:12]}: {'; '.join(reasons)}. "
            f"The evaluation: `ml-assets lineage {evaluation.id[:12]}`"
        )
    let = leave(product, evaluation.facts["verdict"], has_champion="champion" in compared, override=override)
    return override if let.overridden else None


def _bundle(workspace: Workspace, product: Product, recipe: Recipe, override: Override | None) -> Output:
    from ml_assets.core import bundle
    from resources.card import release_card

    key = recipe.partition
    name = bundle.release_name(key, recipe.key)
    model = workspace.lineage.current(product, "model", key)
    evaluation = workspace.lineage.current(product, "evaluation", key)
    card = release_card(workspace, product, name, model=model, evaluation=evaluation, override=override)
    parts = replace(_parts(workspace, product, model, key), card=card, override=override)
    facts = {"release": name, "train": model.facts["train"], "mlflow_run": model.facts["mlflow_run"]}
    facts |= {"override": override.told} if override else {}
    return Output(bundle.files(product, parts, name=name), facts)


def _parts(workspace: Workspace, product: Product, model: Manifest, key: str) -> Any:
    import polars as pl

    from ml_assets.core import bundle
    from ml_assets.core.scoring import load_model, score_frame

    snapshots, lineage = workspace.snapshots, workspace.lineage
    evaluation, features = lineage.current(product, "evaluation", key), lineage.current(product, "features", key)
    rows = snapshots.frame(features.snapshot, "features.parquet")
    about = json.loads(snapshots.read(model.snapshot, "model.json"))
    fitted = load_model(snapshots.path(model.snapshot, "model.cbm"), task=product.task)
    return bundle.Parts(
        model=snapshots.read(model.snapshot, "model.cbm"),
        features_sql=snapshots.read(features.snapshot, "features.sql"),
        lookups={n: snapshots.read(features.snapshot, f"lookups/{n}.parquet") for n in features.facts["lookups"]},
        features=rows,
        requests=snapshots.frame(features.snapshot, "requests.parquet"),
        scores=score_frame(fitted, rows, about["features"]),
        trained=pl.concat(snapshots.frame(m.snapshot, "features.parquet") for m in lineage.inputs(model)),
        known=known(workspace, product, product.endpoint.refused_categories, _trained_on(workspace, product, key)),
        tested_scores=snapshots.frame(evaluation.snapshot, "scores.parquet")["candidate"].to_numpy(),
        manifest=model,
        evaluation=evaluation,
        card="",
    )


def known(workspace: Workspace, product: Product, columns: Sequence[str], trained: Sequence[Manifest]) -> dict[str, list[Any]]:
    """What the rows trained on hold in these request columns; `trained` are their features."""
    from ml_assets.core.known import known_values

    def frame(manifest: Manifest, name: str) -> "pl.DataFrame":
        return workspace.snapshots.frame(manifest.snapshot, f"{name}.parquet")

    return known_values(product, columns, ((frame(m, "features"), frame(m, "requests")) for m in trained))


def _register(workspace: Workspace, product: Product, manifest: Manifest) -> str:
    """A version in the catalogue, with what a person needs there to decide; the same release once."""
    from resources.standing import standing

    found = standing(workspace, product, manifest)
    verdict = found.evaluation.facts["verdict"]
    tags = {
        "bundle": manifest.snapshot,
        "release": manifest.facts["release"],
        "manifest": manifest.id,
        "verdict": verdict["decision"],
        "gates": verdict["gate"],
        "approval": ": ".join(filter(None, [found.consent.state, found.consent.told])),
        "as_of": manifest.partition,
    }
    if found.override:
        tags["override"] = f"by {found.override.by}: {found.override.reason}"
    folder = workspace.snapshots.checkout(manifest.snapshot)
    run, card = manifest.facts["mlflow_run"], _card(workspace, manifest)
    return workspace.catalogue.register(product.name, run_id=run, folder=folder, tags=tags, description=card)


def _card(workspace: Workspace, manifest: Manifest) -> str:
    return workspace.snapshots.read(manifest.snapshot, "card.md").decode()


def _metadata(workspace: Workspace, product: Product, manifest: Manifest, version: str) -> dict[str, Any]:
    facts = manifest.facts
    evaluation = workspace.lineage.made_from(manifest)["evaluation"]
    page = f"{workspace.settings.mlflow_ui}/#/models/{product.name}/versions/{version}{TRAINING_VIEW}"
    override = facts.get("override")
    return {
        "release": facts["release"],
        "card": dg.MetadataValue.md(_card(workspace, manifest)),
        **({"override": f"by {override['by']}, {override['at'][:19]}: {override['reason']}"} if override else {}),
        "registered": dg.MetadataValue.url(page),
        "evidence": ", ".join(claim["name"] for claim in evaluation.facts["verdict"]["claims"] if claim["outcome"] == "PASS"),
        "trained_on": f"{facts['train'][0]} to {facts['train'][-1]}, {len(facts['train'])} partitions",
        "bundle": manifest.snapshot,
        "members": small_table(["member"], [[name] for name in sorted(workspace.snapshots.open(manifest.snapshot).members)]),
    }
