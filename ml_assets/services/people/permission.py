"""Permission to decide, asked for before anything is done; what is not permitted is recorded."""

from ml_assets.core.release.identity import By, not_permitted, recorded
from ml_assets.spec.people import Act
from ml_assets.spec.product import Product
from resources.ledger.decisions import DecisionRefused
from resources.ledger.ledger import Ledger


class NotPermitted(DecisionRefused):
    """A decision by somebody whom the product does not name for it, or who is not known."""


def require(ledger: Ledger | None, product: Product, act: Act, by: By) -> None:
    """Raise NotPermitted unless this person may take this decision about the product, and record that in the ledger, if one is
    given."""
    if not (reason := not_permitted(product, act, by)):
        return
    if ledger is not None:
        body = {"product": product.name, "stage": "people", "decision": act, **recorded(by), "reasons": [reason]}
        ledger.append("refusal", body)
    raise NotPermitted(reason)
