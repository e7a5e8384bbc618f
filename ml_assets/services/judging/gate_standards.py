"""What a product's own recorded verdicts say against its gates, when it is loaded: no row is read."""

from ml_assets.core.gate_lab.standards import breaches
from ml_assets.core.gates.history import MOST_WINDOWS
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.spec.product import Product
from resources.lineage import Lineage


def gate_breaches(lineage: Lineage, product: Product) -> list[str]:
    """The minimal standards that the gates do not keep, by the verdicts of the newest evaluated partitions: one sentence each."""
    keys = lineage.ledger.partitions(product.name, "evaluation")[-MOST_WINDOWS:]
    recorded = (lineage.ledger.current(product.name, "evaluation", key) for key in keys)
    return breaches(product.gates, [EvaluationFacts.of(manifest).verdict for manifest in recorded if manifest is not None])
