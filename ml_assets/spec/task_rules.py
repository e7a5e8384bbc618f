"""Rules about what goes with a task: decisions with a yes or no, classes with several, a value with what is worth something."""

from collections.abc import Mapping
from typing import Any

from ml_assets.spec.claim_grammar import ClaimForm
from ml_assets.spec.gates import GateSpec
from ml_assets.spec.monitoring import MonitoringSpec
from ml_assets.spec.sections import AT_THRESHOLD, DecisionSpec, FeatureSpec
from ml_assets.spec.tasks import classes_problem


def task_problem(section: object, before: Mapping[str, Any]) -> str:
    """The mistake in a section, given the task and those `before` it that could be read, by name; empty if there is none."""
    task = before.get("task", "")
    match section:
        case FeatureSpec() if task:
            return classes_problem(task, section.classes, section.positive)
        case DecisionSpec() if task not in ("", "binary"):
            return f"a {task} has no decision threshold; allowed only with task: binary"
        case GateSpec() if before.get("decision") is None and task != "multiclass":
            return _threshold_problem(section)
        case MonitoringSpec():
            return _value_problem(section, before)
    return ""


def _threshold_problem(gates: GateSpec) -> str:
    """The first claim about decisions, of which there are none; empty if there is no such claim."""
    claims = [claim.name for claim in gates.claims if needs_threshold(claim.form)]
    return f"claim '{claims[0]}' is about decisions, which need `decision: {{threshold: 0.5}}`" if claims else ""


def _value_problem(monitoring: MonitoringSpec, before: Mapping[str, Any]) -> str:
    """The mistake in what rows are worth; empty if there is none."""
    value, gates = monitoring.value, before.get("gates")
    features = before.get("features")
    if value is not None and value.matrix and features and len(value.matrix) != (count := len(features.classes)):
        return (
            f"value.matrix: has {len(value.matrix)} rows; features.classes has {count} classes, and each has a row in that order"
        )
    if value is not None and value.error is None and not value.matrix and before.get("decision") is None:
        return "value: decisions are worth something, and there are none without `decision: {threshold: 0.5}`"
    about_value = [f"claim '{claim.name}'" for claim in gates.claims if is_about_value(claim.form)] if gates else []
    about_value += ["metric"] if monitoring.metric == "value" else []
    if value is None and about_value:
        examples = {"regression": "error: -1", "multiclass": "matrix: [[1, -1, -1], [-1, 1, -1], [-5, -1, 1]]"}
        worth = examples.get(before.get("task", ""), "true_positive: 10, false_positive: -1")
        return f"{about_value[0]} is about value; declare it: `value: {{{worth}}}`"
    return ""


def is_about_value(form: ClaimForm) -> bool:
    """Whether the form is about what rows are worth, which a product says in `monitoring.value`."""
    return any(measure.metric == "value" for measure in form.measures)


def needs_threshold(form: ClaimForm) -> bool:
    """Whether the form is about decisions, which a product without a threshold does not make."""
    return any(m.kind == "disagreement" or m.metric in AT_THRESHOLD for m in form.measures)
