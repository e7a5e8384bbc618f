"""Reasons to train that ask for a candidate which is there already: recorded with its release, and nothing is launched."""

from ml_assets.core.lineage.facts import EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.triggers import TriggerRecord
from ml_assets.services.automation.policy import Trigger
from ml_assets.services.stale_inputs import stale_of_path
from ml_assets.spec.product import Product
from resources.ledger.recalls import derived
from resources.lineage import Lineage


def satisfied_by(lineage: Lineage, product: Product, partition: str) -> str:
    """The release of the candidate as of a partition, or else its verdict, where a training now would make the same candidate and
    it was evaluated; empty where it would make another one, or none was evaluated."""
    ledger = lineage.ledger
    model, evaluation = (ledger.current(product.name, stage, partition) for stage in ("model", "evaluation"))
    if model is None or evaluation is None or lineage.made_from(evaluation)["model"].id != model.id:
        return ""
    if model.id in (bad := derived(ledger, product.name)) or evaluation.id in bad:
        return ""
    if stale_of_path(lineage, product, partition, until="evaluation")[0]:
        return ""
    release = ledger.current(product.name, "release", partition)
    if release is not None and lineage.made_from(release)["evaluation"].id == evaluation.id:
        return f"release {ReleaseFacts.of(release).release}"
    return f"the evaluation as of {partition}, {EvaluationFacts.of(evaluation).verdict.decision}"


def record_satisfied(lineage: Lineage, product: Product, trigger: Trigger, release: str) -> str:
    """Record that a reason to train is satisfied by a release, or a verdict, that is there; what was recorded, in words."""
    about = {"product": product.name, "partition": trigger.partition, "kind": trigger.kind, "key": trigger.key}
    lineage.ledger.append("trigger", TriggerRecord(**about, why=trigger.why, run="", satisfied_by=release))  # type: ignore[arg-type]
    return f"{trigger.why}; satisfied by {release}, which a training now would make again"
