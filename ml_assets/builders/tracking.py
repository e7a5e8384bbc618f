"""tracking: an evaluation as MLflow shows it. A catalogue for people: nothing reads it to decide anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml_assets.core.gates.results import result_in_words
from ml_assets.core.lineage.facts import EvaluationFacts, ModelFacts
from ml_assets.core.lineage.handles import Handle
from ml_assets.core.model.training import parameters
from ml_assets.spec.product import Product
from resources.tracking.mlflow_catalogue import Logged


@dataclass(frozen=True)
class Evaluated:
    """An `evaluation`, its `model`, and its `report` where there is one."""

    model: Handle
    evaluation: Handle
    report: Handle | None


def build(inputs: Evaluated, product: Product, partition: str) -> Logged:
    """Parameters, dataset digests, curves, metrics, the verdict and the pictures."""
    model, about = inputs.model.manifest, inputs.model.json("model.json")
    fitted, facts = ModelFacts.of(model), EvaluationFacts.of(inputs.evaluation.manifest)
    texts = {"evaluation/summary.md": inputs.evaluation.read("summary.md").decode()}
    if inputs.report:
        texts |= {f"evaluation/{name}": inputs.report.read(name).decode() for name in inputs.report.members}
    return Logged(
        parameters={**parameters(product), "train_first": fitted.train[0], "train_last": fitted.train[-1]},
        metrics=_metrics(fitted.rows, about, facts),
        tags={**_tags(facts), "fingerprint": model.data_version, "product": product.name, "as_of": model.partition},
        curves={f"train_{about['loss']}": about["learning_curve"]},
        texts=texts,
        tables={
            "inputs/features.json": {source.partition: source.data_version for source in model.recipe.inputs},
            "feature_importance.json": dict(about["importance"]),
        },
    )


def _metrics(rows: int, about: Mapping[str, Any], facts: EvaluationFacts) -> dict[str, float]:
    values = {f"{role}/{m}": e.value for m, by_role in facts.metrics.items() for role, e in by_role.items()}
    known = {name: value for name, value in values.items() if value is not None}
    return {"train_rows": rows, **{f"importance/{name}": value for name, value in about["importance"]}, **known}


def _tags(facts: EvaluationFacts) -> dict[str, str]:
    """The verdict as MLflow tags: the decision, each claim's outcome, and which look it was."""
    verdict = facts.verdict
    shown = {"verdict": verdict.decision, "gates": verdict.gate, "level": f"{verdict.level:g}"}
    shown |= {f"claim/{claim.name}": result_in_words(claim) for claim in verdict.claims}
    return shown | {"look": f"{facts.look.number} of {verdict.looks}"}
