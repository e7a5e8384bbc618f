"""A gates block that was weakened after a test window was asked: a new look, and something that a person has to agree to."""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.spec.gates import GateSpec
from ml_assets.spec.monitoring import ValueSpec
from ml_assets.spec.product import Product
from ml_assets.spec.sections import DecisionSpec
from resources.ledger.budget import Budget, Look
from resources.lineage import Lineage


def weakened_after_a_look(lineage: Lineage, product: Product, evaluation: Manifest) -> str:
    """The requirements that the gates of an evaluation lack and an earlier look at its window had, with that look's verdict;
    empty if they ask at least as much, or nothing was asked before."""
    facts = EvaluationFacts.of(evaluation)
    earlier: dict[str, Look] = {}
    for look in Budget(lineage.ledger).window(product, facts.tested).looks:
        if look.comparison == facts.look.comparison:
            break
        if look.gate != facts.verdict.gate:
            earlier[look.gate] = look
    recorded = lineage.ledger.recorded(product.name, "evaluation", evaluation.partition) if earlier else []
    by_gate = {EvaluationFacts.of(evaluation).verdict.gate: evaluation for evaluation in recorded}
    weakened = ((look, list(_weakenings(product, by_gate.get(gate)))) for gate, look in earlier.items())
    return "; ".join(_look_sentence(look, weakenings) for look, weakenings in weakened if weakenings)


def _look_sentence(look: Look, weakenings: Sequence[str]) -> str:
    outcome = f"was {look.decision}" if look.decision else "had no verdict yet"
    return f"look {look.number} at this window {outcome}; since then the gates were weakened: {', '.join(weakenings)}"


def as_judged(product: Product, evaluation: Manifest) -> Product | None:
    """The product with the gates, the threshold and the value of a recorded evaluation; None where they cannot be read."""
    declared = evaluation.recipe.details.get("config", {})
    try:
        gates = GateSpec.model_validate(declared["gates"], context={"content": {"task": product.task}})
        decision = DecisionSpec.model_validate(declared["decision"]) if declared.get("decision") else None
        value = ValueSpec.model_validate(worth) if (worth := declared.get("monitoring", {}).get("value")) else None
    except (KeyError, ValidationError):
        return None
    monitoring = product.monitoring.model_copy(update={"value": value})
    return product.model_copy(update={"gates": gates, "decision": decision, "monitoring": monitoring})


def _weakenings(product: Product, evaluation: Manifest | None) -> Iterator[str]:
    from ml_assets.core.changes.declaration_changes import declaration_changes

    if evaluation is None:
        yield "the block of then was not recorded"
        return
    before = as_judged(product, evaluation)
    if before is None:
        yield "the block of then cannot be read any more"
        return
    for change in declaration_changes(before, product):
        if change.effect == "weakened":
            yield f"{change.name}: {change.old} → {change.new if change.new is not None else 'gone'}"
