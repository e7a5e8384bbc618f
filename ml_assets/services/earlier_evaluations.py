"""The evaluations on earlier windows that a verdict learns from: those that were charged before it, whatever came later."""

from collections.abc import Collection, Sequence
from itertools import islice
from math import inf

from ml_assets.core.gates.history import MOST_WINDOWS
from ml_assets.core.lineage.facts import EvaluationFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.spec.product import Product
from resources.ledger.budget import Budget, BudgetWindow
from resources.lineage import Lineage


def earlier_evaluations(lineage: Lineage, product: Product, tested: Sequence[str], *, comparison: str) -> list[Manifest]:
    """One evaluation of each of the newest windows that end before this one begins, oldest first.

    `comparison` is what is asked. Once it was charged, what was charged or recorded later does not count, so that the same
    comparison again learns from the same windows.
    """
    windows = Budget(lineage.ledger).windows(product)
    own = next(
        (
            look
            for window in windows
            if window.partitions == tuple(tested)
            for look in window.looks
            if look.comparison == comparison
        ),
        None,
    )
    before = own.entry if own else inf
    evaluations = (_last(lineage, product, window, before) for window in reversed(windows) if window.partitions[-1] < tested[0])
    return list(islice(filter(None, evaluations), MOST_WINDOWS))[::-1]


def _last(lineage: Lineage, product: Product, window: BudgetWindow, before: float) -> Manifest | None:
    """The last evaluation of a window that was charged and recorded before an entry of the ledger."""
    charged = {look.comparison for look in window.looks if look.entry < before}
    recorded = lineage.ledger.recorded(product.name, "evaluation", window.partitions[-1]) if charged else []
    usable = [m for m in recorded if (m.entry or 0) < before and _is_of(m, charged)]
    return usable[-1] if usable else None


def _is_of(evaluation: Manifest, charged: Collection[str]) -> bool:
    """Whether it is one of the charged comparisons, of one window: pooled ones hold nothing that those do not."""
    facts = EvaluationFacts.of(evaluation)
    return not facts.kept_since and facts.look.comparison in charged
