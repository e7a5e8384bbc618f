"""The differences between two declarations of one product, key by key."""

from collections.abc import Iterator, Mapping
from typing import Any

from ml_assets.core.changes.change import Change, Effect
from ml_assets.core.changes.claim_changes import claim_changes
from ml_assets.core.changes.rules import AS_A_WHOLE, CONDITIONS, JUDGED_APART, RULES
from ml_assets.spec.gates import GateSpec
from ml_assets.spec.product import Product
from ml_assets.spec.task_rules import needs_threshold


def declaration_changes(old: Product, new: Product) -> list[Change]:
    """The changes in the order of product.yaml; equal values that are written differently are not a change. Where nothing is
    `weakened`, whatever the new gates accept the old ones accept on the same rows and scores."""
    values = (product.model_dump(mode="json") for product in (old, new))
    changes = [*_walk(old.name, "", *values)]
    changes += claim_changes(old.name, old.gates.claims, new.gates.claims)
    changes += _minimum(old, new)
    changes += _first_release(old, new)
    changes += _threshold(old, new)
    return changes


def _walk(product: str, path: str, old: Any, new: Any) -> Iterator[Change]:
    if old == new or path in JUDGED_APART:
        return
    if path in CONDITIONS and (old is None or new is None):
        yield Change(product=product, name=path, effect="strengthened" if old is None else "weakened", old=old, new=new)
    elif path in RULES:
        rule = RULES[path]
        yield from (
            Change(product=product, name=key, effect=rule(was, now), old=was, new=now)
            for key, was, now in _leaves(path, old, new)
        )
    else:
        for name in dict.fromkeys([*old, *new]):
            yield from _walk(product, f"{path}.{name}" if path else name, old.get(name), new.get(name))


def _leaves(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """The keys below a rule that differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping) and path not in AS_A_WHOLE:
        for name in dict.fromkeys([*old, *new]):
            yield from _leaves(f"{path}.{name}", old.get(name), new.get(name))
    elif old != new:
        yield path, old, new


def _minimum(old: Product, new: Product) -> Iterator[Change]:
    """More rows asked for decide less on the whole window. In slices they do not: levels with fewer rows are judged together."""
    is_sliced = bool(old.gates.slices or new.gates.slices)
    for name, was in old.gates.minimum:
        now = getattr(new.gates.minimum, name)
        if was == now:
            continue
        is_weaker = now < was or is_sliced
        reason = "slices with fewer rows are judged together" if is_weaker and now > was else ""
        effect: Effect = "weakened" if is_weaker else "strengthened"
        yield Change(product=old.name, name=f"gates.minimum.{name}", effect=effect, old=was, new=now, reason=reason)


def _first_release(old: Product, new: Product) -> Iterator[Change]:
    require = "gates.first_release.require"
    was, now = sorted(old.gates.first_claims), sorted(new.gates.first_claims)
    remaining = {claim.name for claim in new.gates.claims}
    if lost := [name for name in was if name in remaining and name not in now]:
        reason = f"a first release has to show no more: {', '.join(lost)}"
        yield Change(product=old.name, name=require, effect="weakened", old=was, new=now, reason=reason)
    elif was != now:
        yield Change(product=old.name, name=require, effect="changed", old=was, new=now)
    was_asked, is_asked = _asks_for_a_first(old.gates), _asks_for_a_first(new.gates)
    if was_asked != is_asked:
        effect: Effect = "strengthened" if is_asked == "person" else "weakened"
        yield Change(product=old.name, name="gates.first_release.approve", effect=effect, old=was_asked, new=is_asked)


def _asks_for_a_first(gates: GateSpec) -> str:
    return gates.first_release.approve if gates.first_release else "automatic"


def _threshold(old: Product, new: Product) -> Iterator[Change]:
    was, now = (product.decision.threshold if product.decision else None for product in (old, new))
    if was == now:
        return
    claims = [claim.name for claim in old.gates.claims if needs_threshold(claim.form)]
    reason = f"measured at another threshold: {', '.join(claims)}" if claims else ""
    effect: Effect = "weakened" if claims else "changed"
    yield Change(product=old.name, name="decision.threshold", effect=effect, old=was, new=now, reason=reason)
