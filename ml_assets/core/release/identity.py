"""Who decides: a name that somebody typed, or an identity that was proven; and what a product lets each decide. Pure."""

from typing import TypeAlias

import msgspec

from ml_assets.spec.people import Act
from ml_assets.spec.product import Product


class Identity(msgspec.Struct, frozen=True):
    """A person, and what showed that it is this person, such as `key 3fa94c1b`."""

    person: str
    proof: str


By: TypeAlias = str | Identity
"""Who decides. A plain name is what somebody typed."""


def name_of(by: By) -> str:
    """The name that is recorded as `by`."""
    return by.person if isinstance(by, Identity) else by


def proof_of(by: By) -> str:
    """The recorded `proof`; empty for a name that was typed."""
    return by.proof if isinstance(by, Identity) else ""


def recorded(by: By) -> dict[str, str]:
    """Who decides, as entries record it: `by`, and `proof` where there is one."""
    return {"by": name_of(by)} | ({"proof": by.proof} if isinstance(by, Identity) else {})


def not_permitted(product: Product, act: Act, by: By) -> str:
    """Return why this person may not take this decision about the product; empty if they may, or it declares no people."""
    if product.people is None:
        return ""
    if not isinstance(by, Identity):
        typed = f"{by!r} is a name that was typed" if by.strip() else "nobody is known"
        return (
            f"{product.name}: product.yaml says under people.{act} who may do this, and {typed}; decide with a key of your own "
            "(ML_ASSETS_PERSON_KEY or --key; `ml-assets people add NAME` makes one), or in Dagster behind the proxy"
        )
    if product.people.may(act, by.person):
        return ""
    named = ", ".join(getattr(product.people, act)) or "nobody"
    return f"{product.name}: {by.person} ({by.proof}) may not do this; product.yaml names under people.{act}: {named}"


def counts(product: Product, act: Act, *, person: str, proof: str) -> bool:
    """Whether a recorded decision counts by what the product declares now."""
    return not not_permitted(product, act, Identity(person, proof) if proof else person)
