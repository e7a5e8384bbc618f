"""model: the candidate, fitted on the window of partitions that ends before its test window."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.core.lineage.facts import ModelFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.stages import reads, test_keys
from ml_assets.core.lineage.warm_up import candidate_stages
from ml_assets.core.outcomes.maturity import immature
from ml_assets.services.automation.policy import record_trigger
from ml_assets.services.automation.run_outcomes import NO_CANDIDATE
from ml_assets.services.claims import MAY_WARN, features_claims
from ml_assets.services.dagster_ui.metadata import small_table, trained_in_words
from ml_assets.services.folds import no_fold
from ml_assets.services.planning.untrained_candidates import outcomes_awaited, refuse, tested_features
from ml_assets.services.proofs.plausible import refuse_held
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.dagster_assets import declaration, materialized, report_warm_up
from resources.dagster_retries import retried
from resources.ledger.triggers import frozen
from resources.lineage import Build, Lineage
from resources.settings import Settings
from resources.store.snapshots import Snapshots

if TYPE_CHECKING:
    from ml_assets.core.model.training import Progress

LOG_EVERY = 20
"""Iterations between two lines of progress in the run's log."""


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The model asset. It is skipped while there are fewer training partitions than `window.minimum`, or none that can train,
    while no outcome of the test window is known, and while the product is frozen."""
    window = product.window
    described = declaration(product, "model", "The candidate, a CatBoost model.", kinds={"catboost"})

    @dg.asset(**described, output_required=False)
    @retried
    def model(
        context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage], settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.MaterializeResult[Any]]:
        key = context.partition_key
        if why := frozen(lineage.ledger, product.name, datetime.now(UTC)):
            context.log.warning(f"{key}: no candidate is trained: {why}")
            return
        if why := no_fold(lineage.ledger, product, key):
            context.log.warning(f"{NO_CANDIDATE}{why}")
            return
        if why := immature(product, key, datetime.now(UTC)):
            context.log.info(f"{NO_CANDIDATE}{why}")
            return
        record_trigger(lineage.ledger, product, context.run, key)
        refuse_stale(lineage, product, "model", key)
        inputs = lineage.reads(product, "model", key)
        if len(inputs) < window.minimum:
            why = missing_partitions(lineage, product, key)
            context.log.info(f"{NO_CANDIDATE}{why}")
            report_warm_up(context, product, candidate_stages(), key, why)
            return
        features = lineage.features_behind(inputs)
        lineage.require_proven(features, features_claims(product), may_warn=MAY_WARN)
        refuse_held(lineage, product, settings, features, run=context.run.run_id)
        if candidate := _candidate(context, lineage, product, inputs):
            yield materialized(product, candidate, _metadata(lineage.snapshots, candidate.manifest))

    return [model]


def _candidate(context: dg.AssetExecutionContext, lineage: Lineage, product: Product, inputs: Sequence[Manifest]) -> Build | None:
    """The candidate fitted on these features; None where it cannot be trained, which is recorded and logged with the reason."""
    from ml_assets.builders.model import build
    from ml_assets.core.model.training import TrainingRefused

    key, run, progress = context.partition_key, context.run.run_id, _progress(context, product)
    recipe = lineage.recipe(product, "model", key, [m.as_input() for m in inputs])
    tested = tested_features(lineage.ledger, product, key)
    why = outcomes_awaited(product, tested)
    if not why:
        try:
            return lineage.make(recipe, lambda: build([*map(lineage.handle, inputs)], product, key, progress), run=run)
        except TrainingRefused as error:
            why = str(error)
    refuse(lineage, recipe, {m.partition: m.data_version for m in (*inputs, *tested)}, why, run=run)
    context.log.warning(f"{NO_CANDIDATE}{why}")
    return None


def missing_partitions(lineage: Lineage, product: Product, key: str) -> str:
    """Which training partitions are not there, with the command that makes them."""
    declared = reads(product, "model", key).available
    there, tested = lineage.usable(product, declared), test_keys(product, key)
    needed = product.window.minimum - len(there)
    lacking = [partition for _, partition in declared if partition not in there][-needed:]
    before = key if len(tested) < 2 else f"the test window {tested[0]} to {tested[-1]}"
    counted = f"{len(there)} of at least {product.window.minimum} training partitions before {before}"
    if not lacking:
        return f"{counted}: it is among the first of the calendar"
    listed = ", ".join(lacking) if len(lacking) < 4 else f"{lacking[0]} to {lacking[-1]}"
    span = f"--partition {lacking[-1]}" if len(lacking) == 1 else f"--from {lacking[0]} --to {lacking[-1]}"
    return f"{counted}; not there: {listed}; `ml-assets run {product.name} {span}` makes what is delivered"


def _progress(context: dg.AssetExecutionContext, product: Product) -> "Progress":
    def progress(done: int, total: int, loss: float) -> None:
        if done % LOG_EVERY == 0 or done == total:
            context.log.info(f"{product.name} {context.partition_key}: {done} of {total} trees, training loss {loss:.5f}")

    return progress


def _metadata(snapshots: Snapshots, manifest: Manifest) -> dict[str, Any]:
    from ml_assets.core.plots.thumbnails import thumbnail

    facts = ModelFacts.of(manifest)
    about = json.loads(snapshots.read(manifest.snapshot, "model.json"))
    losses = about["learning_curve"]
    curve = thumbnail("learning_curve", {"training": {"x": list(range(1, len(losses) + 1)), "y": losses}})
    return {
        "trained_on": trained_in_words(facts),
        "feature_importance": small_table(["feature", "%"], [[name, f"{value:.1f}"] for name, value in about["importance"][:12]]),
        **({"classes_without_a_row": ", ".join(about["untrained"])} if "untrained" in about else {}),
        **({"learning_curve": dg.MetadataValue.md(curve)} if curve else {}),
        "training_rows": facts.rows,
        "training_loss": facts.loss,
    }
