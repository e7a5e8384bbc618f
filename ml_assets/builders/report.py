"""report: an evaluation as people look at it, pictures and Evidently's page. It informs; nothing is made from it."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import polars as pl

from ml_assets.builders.evaluation import ComparisonInputs, candidate_scores, tested_rows
from ml_assets.core.evaluation.evidently_report import quality_report
from ml_assets.core.evaluation.result import Evaluation
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.lineage.manifests import Output
from ml_assets.core.metrics.score_columns import shown
from ml_assets.core.model.training import labelled
from ml_assets.core.plots.figures import feature_importance, learning_curve, plots
from ml_assets.core.plots.gates import claims_plot
from ml_assets.spec.product import Product

PAGE = "report.html"


@dataclass(frozen=True)
class Reported:
    """An `evaluation`, and the models and rows that it `compared`."""

    evaluation: Handle
    compared: ComparisonInputs


def build(inputs: Reported, product: Product, partition: str) -> Output:
    """The pictures and the page. A part that cannot be drawn is listed with its reason; the others are drawn."""
    files: dict[str, bytes] = {}
    left_out: list[str] = []
    about, verdict = inputs.compared.model.json("model.json"), EvaluationFacts.of(inputs.evaluation.manifest).verdict
    losses = {"training": list(enumerate(about["learning_curve"], 1))}
    parts: dict[str, Callable[[], dict[str, bytes]]] = {
        "the pictures of the metrics": lambda: _plots(Evaluation.from_dict(inputs.evaluation.json("metrics.json"))),
        "the claims": lambda: {"plots/claims.svg": picture} if (picture := claims_plot(verdict)) is not None else {},
        "the learning curve": lambda: {"plots/learning_curve.svg": learning_curve(losses, metric=about["loss"])},
        "feature importance": lambda: {"plots/feature_importance.svg": feature_importance(about["importance"])},
        "Evidently's page": lambda: {PAGE: _page(inputs.compared, product, left_out)},
    }
    for name, draw in parts.items():
        try:
            files |= draw()
        except Exception as error:  # noqa: BLE001 - a picture that fails is named, and takes no other with it
            left_out.append(f"{name} ({type(error).__name__}: {' '.join(str(error).split())[:200]})")
    if PAGE not in files:
        files[PAGE] = f"<html><body><p>could not be drawn: {escape(', '.join(left_out))}</p></body></html>".encode()
    return Output(files, {"left_out": left_out})


def _plots(evaluation: Evaluation) -> dict[str, bytes]:
    return {f"plots/{name}.svg": svg for name, svg in plots(evaluation).items()}


def _answered(compared: ComparisonInputs, frame: pl.DataFrame, product: Product) -> pl.DataFrame:
    """The rows with their score; of several classes with the names of the most probable one and of the actual one."""
    classes, label = product.features.class_names, product.features.label
    answered = frame.with_columns(shown(candidate_scores(compared.model, frame, product), classes).alias("score"))
    if not classes:
        return answered
    return answered.with_columns(pl.col(label).replace_strict(dict(enumerate(classes)), return_dtype=pl.String))


def _page(compared: ComparisonInputs, product: Product, left_out: list[str]) -> bytes:
    """The scored test rows against the partitions before them, as many as were tested. Its title says what was left out, here
    and of the pictures before it."""
    rows = tested_rows(compared.tested, compared.before, product)
    before = labelled(compared.usual(product), label=product.features.label)
    sides = (_answered(compared, frame, product) for frame in (before, rows))
    return quality_report(
        *sides,
        task=product.task,
        label=product.features.label,
        score="score",
        threshold=product.decision.threshold if product.decision else None,
        seed=product.model.seed,
        left_out=left_out,
    )
