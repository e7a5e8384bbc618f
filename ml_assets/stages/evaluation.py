"""evaluation: candidate, champion and anchor on the same unseen rows, and the verdict."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg

from ml_assets.core.evaluation.coverage import OutcomesMissing
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.claims import WINDOW_OPEN
from ml_assets.services.comparisons import compare
from ml_assets.services.dagster_ui.metadata import pictures
from ml_assets.services.dagster_ui.verdict_metadata import evidence
from ml_assets.services.judging.charged_evaluation import AskedAgain, ask, ask_again
from ml_assets.services.judging.gate_standards import note_verdicts
from ml_assets.services.judging.kept_candidate_text import kept_next
from ml_assets.services.next_window import next_window
from ml_assets.services.proofs.plausible import refuse_held
from ml_assets.services.stale_inputs import refuse_stale
from ml_assets.spec.product import Product
from ml_assets.spec.tasks import METRICS
from resources.dagster_assets import asset_key, declaration, materialized
from resources.dagster_retries import retried
from resources.ledger.budget import WindowRetired
from resources.lineage import Lineage
from resources.settings import Settings
from resources.store.snapshots import Snapshots

_Result = dg.MaterializeResult[Any] | dg.AssetCheckResult


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The evaluation asset."""
    description = "Candidate and champion on the same unseen rows, and the verdict; skipped where the window may not be asked."
    described = declaration(product, "evaluation", description, kinds={"catboost"})

    @dg.asset(**described, output_required=False, check_specs=[_window_check(product)])
    @retried
    def evaluation(
        context: dg.AssetExecutionContext, lineage: dg.ResourceParam[Lineage], settings: dg.ResourceParam[Settings]
    ) -> Iterator[_Result]:
        key, run = context.partition_key, context.run.run_id
        refuse_stale(lineage, product, "evaluation", key)
        comparison = compare(lineage, product, key)
        refuse_held(lineage, product, settings, lineage.features_behind(comparison.tested), run=run)
        try:
            result = ask(lineage, product, comparison, key, run=run)
        except (WindowRetired, OutcomesMissing) as error:
            next_one = f"; {next_window(lineage.ledger, product)}" if isinstance(error, WindowRetired) else ""
            message = f"withheld without a verdict: {error}{next_one}"
            context.log.warning(message)
            yield _window_result(product, key, passed=False, message=message)
            return
        note_verdicts(lineage.ledger, product, settings.cache)
        facts = EvaluationFacts.of(result.manifest)
        context.log.info(f"{product.name} {key}: {facts.verdict.decision}")
        again = None if facts.verdict.decision == "ACCEPT" else ask_again(lineage, product, key, run=run)
        if again is not None:
            context.log.info(f"{product.name} {key}: {again.message}")
        is_decided = facts.verdict.decision == "ACCEPT" or (again is not None and again.is_let_through)
        if following := "" if is_decided else kept_next(lineage, product, key):
            context.log.info(f"{product.name} {key}: {following}")
        shown = _metadata(lineage.snapshots, product, result.manifest, again) | evidence(lineage, product, result.manifest)
        yield materialized(product, result, shown | ({"kept_next": following} if following else {}))
        yield _window_result(
            product, key, passed=True, message=f"look {facts.look.number} of {facts.verdict.looks} at this test window"
        )

    return [evaluation]


def _window_check(product: Product) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        WINDOW_OPEN,
        asset=asset_key(product, "evaluation"),
        description="The test window may be asked about this candidate; else the release is withheld until the next window.",
    )


def _window_result(product: Product, partition: str, *, passed: bool, message: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=passed,
        asset_key=asset_key(product, "evaluation"),
        check_name=WINDOW_OPEN,
        severity=dg.AssetCheckSeverity.WARN,
        description=message,
        metadata={"partition": partition},
    )


def _metadata(snapshots: Snapshots, product: Product, manifest: Manifest, again: AskedAgain | None) -> dict[str, Any]:
    """The verdict and its reasons first, then small pictures, and the numbers that are plotted over partitions. `again`: what
    came of the candidate that is kept."""
    from ml_assets.core.plots.gates import claims_table, claims_thumbnail
    from ml_assets.core.plots.thumbnails import comparison

    facts, read = EvaluationFacts.of(manifest), partial(snapshots.read, manifest.snapshot)
    verdict = facts.verdict
    metrics = [metric for metric in METRICS[product.task] if metric in facts.metrics]
    values = {metric: facts.metrics[metric]["candidate"].value for metric in metrics}
    return {
        "verdict": "; ".join([verdict.decision, *verdict.reasons]),
        "claims": dg.MetadataValue.md(claims_table(verdict)),
        **({"claims_picture": dg.MetadataValue.md(picture)} if (picture := claims_thumbnail(verdict)) else {}),
        **({"held_for_a_person": verdict.too_good} if verdict.too_good else {}),
        **({"kept_candidate": again.message} if again else {}),
        "promises": verdict.guarantee,
        "budget": f"look {facts.look.number} of {verdict.looks} at this test window",
        "champion": facts.champion.release if facts.champion else "none: a first release",
        "tested_on": ", ".join(facts.tested),
        **({"left_out": f"{facts.seen_keys} rows whose key was trained on"} if facts.seen_keys is not None else {}),
        "metrics": dg.MetadataValue.md(comparison(facts.metrics, order=metrics)),
        **pictures(json.loads(read("metrics.json"))),
        "slices": dg.MetadataValue.md(read("summary.md").decode()),
        **{name: value for name, value in values.items() if value is not None},
    }
