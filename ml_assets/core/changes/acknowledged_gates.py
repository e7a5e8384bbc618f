"""The gates that a change is judged by: base's, with head's text for what the change acknowledges by name."""

from collections.abc import Collection
from typing import Any

from ml_assets.core.changes.walk_protocol import ReplacedGates
from ml_assets.spec.product import Product

_SECTIONS = ("unit", "minimum", "budget")


def acknowledged_gates(base: Product, head: Product, names: Collection[str]) -> ReplacedGates:
    """The gates to judge by instead of base's own: an acknowledged claim, or key of the gates, as head says it."""
    own, other = (product.model_dump(mode="json")["gates"] for product in (base, head))
    replaced = {section: _section(own[section], other[section], f"gates.{section}", names) for section in _SECTIONS}
    by_name = {claim["name"]: claim for claim in other["claims"]}
    claims = tuple(
        by_name[claim["name"]] if claim["name"] in names else claim
        for claim in own["claims"]
        if claim["name"] not in names or claim["name"] in by_name
    )
    is_other_threshold = "decision.threshold" in names and head.decision is not None
    return ReplacedGates(
        claims=claims,
        unit=replaced["unit"],
        minimum=replaced["minimum"],
        budget=replaced["budget"],
        threshold=head.decision.threshold if is_other_threshold and head.decision else None,
    )


def own_gates(product: Product) -> ReplacedGates:
    """A product's own gates in the same form."""
    return acknowledged_gates(product, product, ())


def _section(own: Any, other: Any, path: str, names: Collection[str]) -> Any:
    if path in names:
        return other
    if isinstance(own, dict) and isinstance(other, dict):
        return {key: _section(value, other.get(key, value), f"{path}.{key}", names) for key, value in own.items()}
    return own
