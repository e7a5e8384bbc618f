"""Whether a new block of claims asks at least what the old one asks.

Each old claim needs a new one that implies it: then whatever the new block accepts, the old one accepts on the same rows.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ml_assets.core.changes.change import Change, Effect
from ml_assets.spec.claim_grammar import Measure
from ml_assets.spec.gates import ClaimSpec


def claim_changes(product: str, old: Sequence[ClaimSpec], new: Sequence[ClaimSpec]) -> Iterator[Change]:
    """The claims that were added, removed, or say something else."""
    by_name = {claim.name: claim for claim in new}
    for claim in old:
        same_name = by_name.get(claim.name)
        if same_name is not None and _says(same_name) == _says(claim):
            continue
        effect, reason = _effect(claim, same_name, new)
        yield Change(product=product, name=claim.name, effect=effect, old=_text(claim), new=_text(same_name), reason=reason)
    old_names = {claim.name for claim in old}
    for claim in new:
        if claim.name not in old_names:
            yield Change(product=product, name=claim.name, effect="strengthened", new=_text(claim))


def implies(new: ClaimSpec, old: ClaimSpec) -> bool:
    """Whether rows that keep the new claim keep the old one: the same measurement over the same slices, compared with a limit
    that is at least as strict, and shown at least as well (`prove` implies `veto`)."""
    is_same = (_measured(new), new.form.sign, frozenset(new.for_each), new.family) == (
        _measured(old), old.form.sign, frozenset(old.for_each), old.family,
    )  # fmt: skip
    is_shown = new.kind == "prove" or old.kind == "veto"
    limits = new.form.constant, old.form.constant
    return is_same and is_shown and (limits[0] >= limits[1] if old.form.sign == ">" else limits[0] <= limits[1])


def _effect(old: ClaimSpec, same_name: ClaimSpec | None, new: Sequence[ClaimSpec]) -> tuple[Effect, str]:
    if same_name is not None and implies(same_name, old):
        return "strengthened", ""
    if other := next((claim.name for claim in new if implies(claim, old)), None):
        return "changed", f"claim {other} asks it"
    if same_name is None:
        return "weakened", "the claim is gone"
    if (same_name.kind, old.kind) == ("veto", "prove"):
        return "weakened", "it has to be proven no more, only not disproven"
    if _measured(same_name) != _measured(old) or set(same_name.for_each) != set(old.for_each):
        return "weakened", "it measures something else, so that nothing says which is stricter"
    return "weakened", ""


def _measured(claim: ClaimSpec) -> frozenset[tuple[Measure, float]]:
    weights: Counter[Measure] = Counter()
    for weight, measure in claim.form.terms:
        weights[measure] += weight  # type: ignore[assignment]  # Counter is typed for whole numbers
    return frozenset((measure, weight) for measure, weight in weights.items() if weight)


def _says(claim: ClaimSpec) -> tuple[Any, ...]:
    form = claim.form
    return (claim.kind, _measured(claim), form.sign, form.constant, frozenset(claim.for_each), claim.family)


def _text(claim: ClaimSpec | None) -> str | None:
    if claim is None:
        return None
    slices = f" for each {', '.join(claim.for_each)}" if claim.for_each else ""
    return f"{claim.kind} {claim.text}{slices}"
