"""Which way each key of product.yaml moves what a candidate, a release or a request must pass.

Each key has one rule: a test holds the table against the schema, so that a new key makes somebody decide.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, get_args

from ml_assets.core.changes.change import Effect
from ml_assets.spec.labels import LabelsSpec
from ml_assets.spec.people import Act

Rule: TypeAlias = Callable[[Any, Any], Effect]
"""The effect of two values that differ. None where the key, or the section that it is in, is not declared."""


def free(_old: Any, _new: Any) -> Effect:
    """Nothing that is judged depends on it, or the comparison of the models shows what it does."""
    return "changed"


def incomparable(_old: Any, _new: Any) -> Effect:
    """Nothing says which of the two values asks more."""
    return "weakened"


def lower(old: Any, new: Any) -> Effect:
    """A lower number is stricter."""
    return "strengthened" if new < old else "weakened"


def higher(old: Any, new: Any) -> Effect:
    """A higher number is stricter."""
    return "strengthened" if new > old else "weakened"


def ordered(*values: Any) -> Rule:
    """Later values are stricter."""

    def rule(old: Any, new: Any) -> Effect:
        return "strengthened" if values.index(new) > values.index(old) else "weakened"

    return rule


def fewer(old: Any, new: Any) -> Effect:
    """Fewer exceptions are stricter."""
    return "strengthened" if set(new) < set(old) else "weakened"


def more(old: Any, new: Any) -> Effect:
    """More that is asked is stricter."""
    return "strengthened" if set(new) > set(old) else "weakened"


def excuses(old: Any, new: Any) -> Effect:
    """Another standard that need not be kept asks less; another reason for the same one, nothing."""
    before, now = set(old or {}), set(new or {})
    if before == now:
        return "changed"
    return "strengthened" if now < before else "weakened"


def longer(old: Any, new: Any) -> Effect:
    """Waiting longer for outcomes asks more of them."""
    before, now = (LabelsSpec(matures=span).maturity for span in (old or "0d", new or "0d"))
    return "changed" if before == now else "strengthened" if now > before else "weakened"


def refusals(old: Any, new: Any) -> Effect:
    """More columns whose unknown categories are refused are stricter; `score` is what is done where nothing is declared."""
    before, now = ({column for column, policy in policies.items() if policy == "refuse"} for policies in (old, new))
    if before == now:
        return "changed"
    return "strengthened" if before < now else "weakened"


def other(old: Any, new: Any) -> Effect:
    """Declared or gone it asks nothing by itself, the claims do; but nothing says which of two is harder to beat."""
    return "changed" if old is None or new is None else "weakened"


_TRIAL = {"unit": incomparable, "alpha": incomparable, "bound": incomparable, "max_harm": lower}
RULES: Mapping[str, Rule] = {
    "name": incomparable,
    "title": free,
    "task": incomparable,
    "partitions": free,
    "delivery": free,
    "sources": free,
    **dict.fromkeys([f"features.{name}" for name in ("lookback", "key", "time", "label", "positive", "weight")], free),
    "features.classes": incomparable,
    "keys.across_partitions": ordered("allow", "refuse"),
    "split": incomparable,
    "labels.matures": longer,
    "labels.absent": ordered("negative", "unknown"),
    "labels.delivered": free,
    "window.train": free,
    "window.minimum": free,
    "window.test": incomparable,
    "model": free,
    "evaluation": free,
    "gates.unit": incomparable,
    "gates.budget": incomparable,
    "gates.baselines.champion": incomparable,
    "gates.baselines.anchor": incomparable,
    "gates.baselines.baseline": other,
    "gates.pooled": incomparable,
    "gates.exceptions": excuses,
    "gates.on_inconclusive": ordered("ask", "keep"),
    "gates.approve": ordered("automatic", "person"),
    "gates.four_eyes": ordered(False, True),
    "endpoint.host": free,
    "endpoint.port": free,
    "endpoint.smoke_rows": higher,
    "endpoint.unknown_fields": ordered("ignore", "refuse"),
    "endpoint.unknown_categories": refusals,
    **{f"endpoint.shadow.{name}": rule for name, rule in _TRIAL.items()},
    **{f"endpoint.canary.{name}": rule for name, rule in _TRIAL.items()},
    "endpoint.canary.share": incomparable,
    "staging.p99_ratio": lower,
    "staging.attempts": lower,
    "promote.commit": incomparable,
    **dict.fromkeys([f"people.{act}" for act in get_args(Act)], fewer),
    "monitoring.score_psi": lower,
    "monitoring.column_psi": lower,
    "monitoring.metric": incomparable,
    "monitoring.max_drop": lower,
    "monitoring.ignore": fewer,
    "monitoring.value": other,
    "monitoring.reference": incomparable,
    "plausibility.hold": more,
    "probation.after": lower,
    "probation.on_broken": ordered("tell", "rollback"),
    "probation.alpha": incomparable,
    "rebuild": free,
    "landing": free,
    "retries": free,
    "retrain": free,
    "ci.windows": higher,
    "ci.on_inconclusive": ordered("pass", "fail"),
    "tune": free,
}
"""By dotted key; a rule for a section is for all below it."""
CONDITIONS = frozenset({"endpoint.shadow", "endpoint.canary", "staging", "promote", "people", "probation"})
"""Sections that may be absent: declaring one asks more, removing it less."""
AS_A_WHOLE = frozenset({"endpoint.unknown_categories", "gates.baselines.baseline", "gates.exceptions", "monitoring.value"})
"""Mappings that their rule is given whole."""
JUDGED_APART = frozenset({"gates.claims", "gates.minimum", "gates.first_release", "decision"})
"""The rules that look at other parts of the declaration: core.changes.declaration_changes."""
