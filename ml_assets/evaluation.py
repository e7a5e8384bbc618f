"""evaluation: candidate and champion on the same unseen rows, with plots, report and verdict."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.core.manifests import Manifest, Output
from ml_assets.core.stages import test_keys
from ml_assets.product import Product
from ml_assets.product_spec import METRICS
from resources.assets import asset_key, materialized, partitions_def, spec, window_dep
from resources.claims import features_claims
from resources.metadata import pictures, plots
from resources.mlflow import run_facts, run_page
from resources.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


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
    """Who is compared on what: manifests of the candidate, the test window's features and the champion's release.

    `question` is the key of the same comparison without a champion.
    """

    model: Manifest
    tested: Sequence[Manifest]
    champion: Manifest | None
    question: str

    @property
    def inputs(self) -> list[Manifest]:
        return [self.model, *self.tested, *([self.champion] if self.champion else [])]


def _compare(workspace: Workspace, product: Product, key: str) -> _Comparison:
    from ml_assets.core.judging import refuse_seen_rows

    model = workspace.lineage.current(product, "model", key)
    tested = [workspace.lineage.current(product, "features", k) for k in test_keys(product, key)]
    asked = [model.as_input(), *(m.as_input() for m in tested)]
    question = workspace.lineage.recipe(product, "evaluation", key, asked).key
    champion = workspace.lineage.champion(product, key, question=question)
    trained = {"candidate": model.facts["train"]} | ({"champion": champion.facts["train"]} if champion else {})
    refuse_seen_rows(product, tested=[m.partition for m in tested], trained=trained)
    workspace.lineage.require_proven(tested, features_claims(product))
    return _Comparison(model, tested, champion, question)


def _evaluate(context: dg.AssetExecutionContext, workspace: Workspace, product: Product, compared: _Comparison) -> Output:
    import polars as pl

    from ml_assets.core.judging import judge_candidate, output
    from ml_assets.core.training import labelled

    rows = pl.concat(workspace.snapshots.frame(m.snapshot, "features.parquet") for m in compared.tested)
    frame = labelled(rows, label=product.features.label)
    scores = {"candidate": score(workspace, product, compared.model, frame)}
    if compared.champion is not None:
        scores["champion"] = score(workspace, product, compared.champion, frame)
    judged = judge_candidate(frame, scores, product=product)
    champion = compared.champion
    facts = {
        "candidate": compared.model.data_version,
        "champion": {"release": champion.facts["release"], "bundle": champion.snapshot} if champion else None,
        "tested": [m.partition for m in compared.tested],
        "question": compared.question,
    }
    report = _report(workspace, product, compared.model, frame, scores["candidate"])
    made = output(frame, scores, judged, product=product, report=report, facts=facts)
    return replace(made, facts={**made.facts, **_log(context, workspace, product, made)})


def score(workspace: Workspace, product: Product, manifest: Manifest, frame: "pl.DataFrame") -> "np.ndarray":
    """Scores of a model or release on feature rows, by the function that also serves."""
    from ml_assets.core.scoring import load_model, score_frame

    model = load_model(workspace.snapshots.path(manifest.snapshot, "model.cbm"), task=product.task)
    about = "model.json" if manifest.recipe.stage == "model" else "bundle.json"
    features = json.loads(workspace.snapshots.read(manifest.snapshot, about))["features"]
    return score_frame(model, frame, features)


def _report(workspace: Workspace, product: Product, model: Manifest, frame: "pl.DataFrame", scores: "np.ndarray") -> bytes:
    """Evidently's report of the test rows against the last training partitions, as many as were tested."""
    import polars as pl

    from ml_assets.core.report import evidently_report
    from ml_assets.core.training import labelled

    last = workspace.lineage.inputs(model)[-product.window.test :]
    rows = pl.concat(workspace.snapshots.frame(m.snapshot, "features.parquet") for m in last)
    trained = labelled(rows, label=product.features.label)
    about = json.loads(workspace.snapshots.read(model.snapshot, "model.json"))["features"]
    seen = score(workspace, product, model, trained)
    return evidently_report(
        trained.with_columns(pl.Series("score", seen)),
        frame.with_columns(pl.Series("score", scores)),
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
        mlflow.set_tags({"verdict": made.facts["verdict"]["decision"]})
        shown = {name: text for name, text in made.files.items() if name.endswith((".md", ".html", ".svg"))}
        for name, text in shown.items():
            mlflow.log_text(text.decode(), f"evaluation/{name}")
        return run_facts(mlflow)


def _metadata(workspace: Workspace, product: Product, manifest: Manifest) -> dict[str, Any]:
    """What decides first, then small pictures, everything in full, and the numbers that are plotted over partitions."""
    from ml_assets.core.thumbnails import comparison

    facts, read = manifest.facts, partial(workspace.snapshots.read, manifest.snapshot)
    verdict, champion = facts["verdict"], facts["champion"]
    metrics = [metric for metric in METRICS[product.task] if metric in facts["metrics"]]
    values = {metric: facts["metrics"][metric]["candidate"]["value"] for metric in metrics}
    return {
        "verdict": "; ".join([verdict["decision"], *verdict["reasons"]]),
        "champion": champion["release"] if champion else "none: a first release",
        "tested_on": ", ".join(facts["tested"]),
        "metrics": dg.MetadataValue.md(comparison(facts["metrics"], order=metrics)),
        **pictures(json.loads(read("metrics.json"))),
        "slices": dg.MetadataValue.md(read("summary.md").decode()),
        "plots": plots(workspace, manifest),
        "report": run_page(workspace.settings.mlflow_ui, facts, artifact="evaluation/report.html"),
        **{name: value for name, value in values.items() if value is not None},
    }
