"""Who decides by a run of Dagster: whoever launched it through the proxy, or else the name in its configuration."""

from collections.abc import Mapping

from ml_assets.core.release.identity import By
from ml_assets.spec.product import Product
from resources.ledger.decisions import DecisionRefused
from resources.ledger.ledger import Ledger
from resources.logins.run_tags import PERSON_TAG, IdentityForged, person_of
from resources.settings import settings


def decider(ledger: Ledger, product: Product, tags: Mapping[str, str], *, run: str, typed: str) -> By:
    """Who decides: the person in the tags of the run with this id, where they are signed for it. Records and raises
    DecisionRefused where they are forged."""
    try:
        return person_of(tags, run=run, secret=settings().proxy_secret) or typed
    except IdentityForged as error:
        body = {"product": product.name, "stage": "people", "by": tags[PERSON_TAG], "run": run, "reasons": [str(error)]}
        ledger.append("refusal", body)
        raise DecisionRefused(str(error)) from error
