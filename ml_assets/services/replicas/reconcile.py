"""Break-glass rollbacks of servers whose role may not write: recorded by a process that may, from what they reported."""

import msgspec

from ml_assets.core.release.identity import not_permitted
from ml_assets.spec.product import Product
from resources.endpoints.break_glass import BreakGlass, decoded, reconcile
from resources.endpoints.moves import Endpoints
from resources.endpoints.replicas import replicas


def reconcile_reported(endpoints: Endpoints, product: Product) -> list[str]:
    """Record every break-glass rollback that a server in production reports; return what became of each, in words."""
    outcomes = []
    for seen in replicas(endpoints.ledger.engine, product.name):
        if (act := _act(seen.replica.break_glass, product)) is not None:
            objection = not_permitted(product, "rollback", act.who)
            outcomes.append(f"{act.name}: {reconcile(endpoints, act, objection=objection)}")
    return outcomes


def _act(text: str | None, product: Product) -> BreakGlass | None:
    """The act in a report; None without one, and for a text that no server of this product wrote: that table is in no chain."""
    try:
        act = decoded(text) if text else None
    except msgspec.DecodeError:
        return None
    return act if act and (act.product, act.environment) == (product.name, "production") else None
