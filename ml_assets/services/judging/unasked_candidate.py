"""A candidate that its test window could not be asked about: no older verdict of the same partition speaks for it."""

from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.services.next_window import next_window
from ml_assets.spec.product import Product
from resources.ledger import tables as schema
from resources.lineage import Lineage


def unasked(lineage: Lineage, product: Product, partition: str) -> str:
    """Why the partition's newest candidate has no verdict and when the next window opens, in one sentence; empty where its
    verdict is there, or nothing was refused: then it is only not computed yet."""
    model = lineage.ledger.current(product.name, "model", partition)
    evaluation = lineage.ledger.current(product.name, "evaluation", partition)
    if model is None or (evaluation is not None and EvaluationFacts.of(evaluation).candidate == model.data_version):
        return ""
    if not (refused := _refusals(lineage, product, partition)):
        return ""
    subject = f"candidate {model.data_version[:12]} is withheld without a verdict"
    return f"{subject}: {refused[-1]}; {next_window(lineage.ledger, product)}"


def _refusals(lineage: Lineage, product: Product, partition: str) -> list[str]:
    """The recorded reasons why the window of a partition could not be asked, oldest first."""
    bodies = (entry.body for entry in lineage.ledger.entries(schema.entries.c.kind == "refusal"))
    subject = (product.name, "evaluation", partition)
    return [
        "; ".join(body["reasons"])
        for body in bodies
        if (body.get("product"), body.get("stage"), body.get("partition")) == subject
    ]
