"""release: an immutable bundle with its evidence; withheld, or refused with every reason, without it."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from ml_assets.core.lineage.facts import EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest, Output, Recipe
from ml_assets.core.release.approvals import Override
from ml_assets.errors import MlAssetsError
from ml_assets.services.dagster_ui.metadata import small_table, trained_in_words
from ml_assets.services.judging.kept_candidate import kept_evaluation
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from resources.dagster_assets import asset_key, declaration, materialized
from resources.dagster_retries import retried
from resources.ledger.decisions import Decisions
from resources.lineage import Lineage


class ReleaseRefused(MlAssetsError):
    """The evidence does not allow a release of exactly this model."""


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The release asset. In a run that evaluates too it is skipped unless the verdict, or a person, allows a release: not proven
    is an outcome, not a fault."""
    description = "An immutable bundle with its evidence."

    @dg.asset(**declaration(product, "release", description, kinds={"catboost"}), output_required=False)
    @retried
    def release(context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage]) -> Iterator[dg.MaterializeResult[Any]]:
        key, run = context.partition_key, context.run.run_id
        refuse_stale(lineage, product, "release", key)
        own = _own_inputs(lineage, product, key)
        trained = lineage.inputs(own[0])
        inputs = {manifest.id: manifest for manifest in (*trained, *own)}
        is_evaluated = asset_key(product, "evaluation") in context.job_def.asset_layer.selected_asset_keys
        if is_evaluated and (withheld := _withheld(lineage, product, key)):
            context.log.info(f"{product.name} {key}: withheld: {withheld}")
            return
        override = _refuse_without_evidence(lineage, product, key, run=run)
        recipe = lineage.recipe(product, "release", key, [manifest.as_input() for manifest in inputs.values()])
        result = lineage.make(recipe, lambda: _bundle(lineage, product, recipe, trained, override), run=run)
        yield materialized(product, result, _metadata(lineage, result.manifest))

    return [release]


def _own_inputs(lineage: Lineage, product: Product, key: str) -> list[Manifest]:
    """The model, its evaluation and the features of the partition. The model is the partition's own candidate or, where that was
    not let through and the one that is kept was, that one."""
    own = [lineage.current(product, stage, key) for stage in ("model", "evaluation", "features")]
    model, evaluation, features = own
    if product.gates.pooled is None or EvaluationFacts.of(evaluation).verdict.decision == "ACCEPT":
        return own
    again = kept_evaluation(lineage, product, key)
    is_let_through = again is not None and EvaluationFacts.of(again).verdict.decision == "ACCEPT"
    if again is None or not is_let_through or Decisions(lineage.ledger).override(product, evaluation, model) is not None:
        return own
    return [lineage.made_from(again)["model"], again, features]


def _withheld(lineage: Lineage, product: Product, key: str) -> str:
    """Return why the verdict does not allow a release; empty if it does, or a person overrode it."""
    from ml_assets.core.release.clearance import clearance

    model, evaluation, _ = _own_inputs(lineage, product, key)
    facts = EvaluationFacts.of(evaluation)
    override = Decisions(lineage.ledger).override(product, evaluation, model)
    permit = clearance(product, facts.verdict, has_champion=facts.champion is not None, override=override)
    if not permit.reasons or facts.verdict.decision == "ACCEPT":
        return ""
    return f"the verdict is {facts.verdict.decision}: {'; '.join(facts.verdict.reasons)}"


def _refuse_without_evidence(lineage: Lineage, product: Product, key: str, *, run: str) -> Override | None:
    """Return the override that allows the release, if it takes one. Records a refusal and raises ReleaseRefused, with every
    reason, if the record does not allow it."""
    from ml_assets.core.release.clearance import clearance, refusals
    from ml_assets.services.feature_generation import mixed_generations
    from ml_assets.services.rederived_verdict import contradictions
    from ml_assets.services.release_status import unrecorded

    model, evaluation, features = _own_inputs(lineage, product, key)
    facts = EvaluationFacts.of(evaluation)
    baselines = lineage.baselines(product, key, question=facts.question)
    compared = {role: release.snapshot for role, release in baselines.by_role.items()}
    override = Decisions(lineage.ledger).override(product, evaluation, model)
    reasons = refusals(product, model=model, evaluation=evaluation, compared=compared, override=override)
    reasons += unrecorded(lineage, product, evaluation)
    reasons += contradictions(lineage, product, evaluation)
    if reasons := [*reasons, *mixed_generations(lineage.ledger, product, model=model, evaluation=evaluation, features=features)]:
        recorded = {"product": product.name, "stage": "release", "partition": key, "model": model.id, "reasons": reasons}
        lineage.ledger.append("refusal", {**recorded, "evaluation": evaluation.id, "run": run})
        raise ReleaseRefused(
            f"{product.name} {key}: refused to release model {model.data_version[:12]}: {'; '.join(reasons)}. "
            f"The evaluation: `ml-assets lineage {evaluation.id[:12]}`; `ml-assets run {product.name} --partition {key}` judges "
            f"again what is stale or was changed"
        )
    permit = clearance(product, facts.verdict, has_champion="champion" in compared, override=override)
    return override if permit.overridden else None


def _bundle(lineage: Lineage, product: Product, recipe: Recipe, trained: Sequence[Manifest], override: Override | None) -> Output:
    from ml_assets.builders.release import ReleaseInputs, build
    from ml_assets.core.release.bundle import release_name
    from ml_assets.services.model_card import card_about

    key, handle = recipe.partition, lineage.handle
    name = release_name(key, recipe.key)
    model, evaluation, features = _own_inputs(lineage, product, key)
    about = card_about(lineage, name, model=model, evaluation=evaluation, override=override)
    inputs = ReleaseInputs(name, handle(model), handle(evaluation), handle(features), [*map(handle, trained)], about)
    return build(inputs, product, key)


def _metadata(lineage: Lineage, manifest: Manifest) -> dict[str, Any]:
    facts = ReleaseFacts.of(manifest)
    evaluation = lineage.made_from(manifest)["evaluation"]
    card = lineage.snapshots.read(manifest.snapshot, "card.md").decode()
    override = facts.override
    return {
        "release": facts.release,
        "card": dg.MetadataValue.md(card),
        **({"override": f"by {override.by}, {override.at[:19]}: {override.reason}"} if override else {}),
        "evidence": ", ".join(claim.name for claim in EvaluationFacts.of(evaluation).verdict.claims if claim.outcome == "PASS"),
        "trained_on": trained_in_words(facts),
        "bundle": manifest.snapshot,
        "members": small_table(["member"], [[name] for name in sorted(lineage.snapshots.open(manifest.snapshot).members)]),
    }
