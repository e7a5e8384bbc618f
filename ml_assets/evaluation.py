"""evaluation: candidate, champion and anchor on the same unseen rows, with plots, report and verdict."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.core.manifests import Manifest, Output
from ml_assets.core.stages import test_keys
from ml_assets.product import Product
from ml_assets.product_spec import METRICS
from resources.assets import asset_key, materialized, partitions_def, spec, window_dep
from resources.budget import Look
from resources.claims import features_claims
from resources.lineage import Baselines
from resources.metadata import pictures, plots
from resources.mlflow import run_facts, run_page
from resources.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from catboost import CatBoost

    from ml_assets.core.judging import Scores


def build(product: Product) -> list[dg.AssetsDefinition]:
    """The evaluation asset."""
    window = window_dep(product, "features", first=-(product.window.test - 1))
    description = "Candidate and champion on the same unseen rows, and the verdict."
    evaluation_spec = spec(
        product, "evaluation", description, deps=[asset_key(product, "model"), window], kinds={"evidently", "catboost"}
    )

    @dg.multi_asset(name=f"{product.name}__evaluation", specs=[evaluation_spec], partitions_def=partitions_def(product))
    def evaluation(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> dg.MaterializeResult[Any]:
        key = context.partition_key
        comparison = _compare(workspace, product, key)
        recipe = workspace.lineage.recipe(product, "evaluation", key, [m.as_input() for m in comparison.inputs])
        made = workspace.lineage.make(recipe, lambda: _evaluate(context, workspace, product, comparison), run=context.run.run_id)
        context.log.info(f"{product.name} {key}: {made.manifest.facts['verdict']['decision']}")
        return materialized(product, made, _metadata(workspace, product, made.manifest))

    return [evaluation]


@dataclass(frozen=True)
class _Comparison:
    """Who is compared on what: manifests of the candidate, the test window's features and the releases compared with.

    `question` is the key of the same comparison without them.
    """

    model: Manifest
    tested: Sequence[Manifest]
    baselines: Baselines
    question: str

    @property
    def inputs(self) -> list[Manifest]:
        compared = {release.id: release for release in self.baselines.by_role.values()}
        return [self.model, *self.tested, *compared.values()]

    @property
    def keys(self) -> list[str]:
        return [m.partition for m in self.tested]


def _compare(workspace: Workspace, product: Product, key: str) -> _Comparison:
    from ml_assets.core.judging import refuse_seen_rows

    model = workspace.lineage.current(product, "model", key)
    tested = [workspace.lineage.current(product, "features", k) for k in test_keys(product, key)]
    asked = [model.as_input(), *(m.as_input() for m in tested)]
    question = workspace.lineage.recipe(product, "evaluation", key, asked).key
    baselines = workspace.lineage.baselines(product, key, question=question)
    trained = {"candidate": model.facts["train"]} | {r: m.facts["train"] for r, m in baselines.by_role.items()}
    refuse_seen_rows(product, tested=[m.partition for m in tested], trained=trained)
    workspace.lineage.require_proven(tested, features_claims(product))
    return _Comparison(model, tested, baselines, question)


def _evaluate(context: dg.AssetExecutionContext, workspace: Workspace, product: Product, compared: _Comparison) -> Output:
    """Charge the look, score, judge, record the verdict: in this order, whatever happens in between."""
    import polars as pl

    from ml_assets.core.judging import EvaluationRefused, judge_candidate, levels_of, output

    frame = _labelled(workspace, product, compared.tested)
    before = _labelled(workspace, product, workspace.lineage.inputs(compared.model)[-product.window.test :])
    if frame.is_empty():  # labels that are not known yet cost no look
        tested = ", ".join(compared.keys)
        raise EvaluationRefused(
            f"{product.name}: the test window {tested} has no row whose {product.features.label} is known; deliver the outcomes, "
            f"then `ml-assets run {product.name} --partition {compared.keys[-1]}`"
        )
    look = _charge(workspace, product, compared, run=context.run.run_id)
    scores = _scores(workspace, product, compared, frame)
    judged = judge_candidate(frame, scores, product=product, expected=levels_of(before, product=product))
    workspace.budget.settle(product, look, judged.verdict.decision)
    facts = {
        "candidate": compared.model.data_version,
        "champion": None,
        "anchor": None,
        **{r: {"release": m.facts["release"], "bundle": m.snapshot} for r, m in compared.baselines.by_role.items()},
        "tested": compared.keys,
        "question": compared.question,
        "look": {"number": look.number, "comparison": look.comparison},
    }
    report = _report(workspace, product, compared.model, before, frame.with_columns(pl.Series("score", scores["candidate"])))
    made = output(frame, scores, judged, product=product, report=report, facts=facts)
    return replace(made, facts={**made.facts, **_log(context, workspace, product, made)})


def _labelled(workspace: Workspace, product: Product, features: Sequence[Manifest]) -> "pl.DataFrame":
    import polars as pl

    from ml_assets.core.training import labelled

    rows = pl.concat(workspace.snapshots.frame(m.snapshot, "features.parquet") for m in features)
    return labelled(rows, label=product.features.label)


def _charge(workspace: Workspace, product: Product, compared: _Comparison, *, run: str) -> Look:
    """A look at the window, before anything is scored on it."""
    from ml_assets.core.gates.verdict import gate_digest
    from ml_assets.core.judging import comparison_digest

    models = {role: workspace.lineage.made_from(m)["model"].data_version for role, m in compared.baselines.by_role.items()}
    tested = {m.partition: m.data_version for m in compared.tested}
    asked = comparison_digest(product, models={"candidate": compared.model.data_version, **models}, tested=tested)
    return workspace.budget.charge(product, tested=compared.keys, comparison=asked, gate=gate_digest(product), run=run)


def _scores(workspace: Workspace, product: Product, compared: _Comparison, frame: "pl.DataFrame") -> "Scores":
    """Every model's scores of the rows; one that is both champion and anchor is asked once."""
    found = {compared.model.id: score(workspace, product, compared.model, frame)}
    for release in compared.baselines.by_role.values():
        if release.id not in found:
            found[release.id] = score(workspace, product, release, frame)
    return {"candidate": found[compared.model.id]} | {r: found[m.id] for r, m in compared.baselines.by_role.items()}


def score(workspace: Workspace, product: Product, manifest: Manifest, frame: "pl.DataFrame") -> "np.ndarray":
    """Scores of a model or release on feature rows, by the function that also serves."""
    from ml_assets.core.scoring import score_frame

    model, features = _fitted(workspace, product, manifest)
    return score_frame(model, frame, features)


def _fitted(workspace: Workspace, product: Product, manifest: Manifest) -> tuple["CatBoost", list[dict[str, str]]]:
    """The model of a model or release manifest, and its features."""
    from ml_assets.core.scoring import load_model

    model = load_model(workspace.snapshots.path(manifest.snapshot, "model.cbm"), task=product.task)
    about = "model.json" if manifest.recipe.stage == "model" else "bundle.json"
    return model, json.loads(workspace.snapshots.read(manifest.snapshot, about))["features"]


def _report(workspace: Workspace, product: Product, model: Manifest, trained: "pl.DataFrame", tested: "pl.DataFrame") -> bytes:
    """Evidently's report of the scored test rows against the last training partitions, as many as were tested."""
    import polars as pl

    from ml_assets.core.report import evidently_report

    about = json.loads(workspace.snapshots.read(model.snapshot, "model.json"))["features"]
    return evidently_report(
        trained.with_columns(pl.Series("score", score(workspace, product, model, trained))),
        tested,
        task=product.task,
        label=product.features.label,
        score="score",
        numeric=[f["name"] for f in about if f["kind"] == "number"],
        categorical=[f["name"] for f in about if f["kind"] == "category"],
        seed=product.model.seed,
    )


def _log(context: dg.AssetExecutionContext, workspace: Workspace, product: Product, made: Output) -> dict[str, str]:
    """Log metrics, verdict, report and plots to the MLflow run of this Dagster run; returns where that is."""
    values = {f"{role}/{m}": e["value"] for m, by_role in made.facts["metrics"].items() for role, e in by_role.items()}
    with workspace.catalogue.run(context, product.name) as mlflow:
        mlflow.log_metrics({name: value for name, value in values.items() if value is not None})
        mlflow.set_tags(_tags(made.facts))
        shown = {name: text for name, text in made.files.items() if name.endswith((".md", ".html", ".svg"))}
        for name, text in shown.items():
            mlflow.log_text(text.decode(), f"evaluation/{name}")
        return run_facts(mlflow)


def _tags(facts: Mapping[str, Any]) -> dict[str, str]:
    """The verdict as MLflow tags: the decision, each claim's outcome, and what was asked."""
    verdict = facts["verdict"]
    told = {"verdict": verdict["decision"], "gates": verdict["gate"], "level": f"{verdict['level']:g}"}
    told |= {f"claim/{claim['name']}": claim["outcome"] for claim in verdict["claims"]}
    return told | {"look": f"{facts['look']['number']} of {verdict['looks']}"}


def _metadata(workspace: Workspace, product: Product, manifest: Manifest) -> dict[str, Any]:
    """What decides first, then small pictures, everything in full, and the numbers that are plotted over partitions."""
    from ml_assets.core.plots_gates import claims_table, claims_thumbnail
    from ml_assets.core.thumbnails import comparison

    facts, read = manifest.facts, partial(workspace.snapshots.read, manifest.snapshot)
    verdict, champion = facts["verdict"], facts["champion"]
    metrics = [metric for metric in METRICS[product.task] if metric in facts["metrics"]]
    values = {metric: facts["metrics"][metric]["candidate"]["value"] for metric in metrics}
    return {
        "verdict": "; ".join([verdict["decision"], *verdict["reasons"]]),
        "claims": dg.MetadataValue.md(claims_table(verdict)),
        **({"claims_picture": dg.MetadataValue.md(picture)} if (picture := claims_thumbnail(verdict)) else {}),
        "promises": verdict["guarantee"],
        "budget": f"look {facts['look']['number']} of {verdict['looks']} at this test window",
        "champion": champion["release"] if champion else "none: a first release",
        "tested_on": ", ".join(facts["tested"]),
        "metrics": dg.MetadataValue.md(comparison(facts["metrics"], order=metrics)),
        **pictures(json.loads(read("metrics.json"))),
        "slices": dg.MetadataValue.md(read("summary.md").decode()),
        "plots": plots(workspace, manifest),
        "report": run_page(workspace.settings.mlflow_ui, facts, artifact="evaluation/report.html"),
        **{name: value for name, value in values.items() if value is not None},
    }
