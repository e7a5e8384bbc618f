"""The windows that a change may be tried on: those that no candidate can be asked about any more."""

from collections.abc import Callable
from functools import cache

from ml_assets.core.lineage.facts import FeaturesFacts
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.reads import is_beyond_folds, labelled_stage
from ml_assets.core.lineage.stages import test_keys, train_keys
from ml_assets.services.folds import fold_of
from ml_assets.spec.product import Product
from resources.ledger import recalls
from resources.ledger.budget import Budget
from resources.ledger.ledger import Ledger


def _has_own_rows(ledger: Ledger, product: Product, partition: str) -> bool:
    """Whether the window has rows that no earlier window had: of a static table a delivery may open no fold, or reopen one."""
    if not is_beyond_folds(product, partition):
        return True
    fold = fold_of(ledger, product, partition)
    return fold is not None and fold.units > 0 and fold.reopened is None


def _has_outcomes(ledger: Ledger, product: Product, partition: str) -> bool:
    """Whether the label of a row is known, as far as the ledger tells; features that it has not made may have labels."""
    stage = labelled_stage(product)
    current = ledger.current(product.name, stage, partition)
    return stage == "features" if current is None else FeaturesFacts.of(current).labelled > 0


def retired_windows(ledger: Ledger, product: Product, *, most: int = 0) -> list[str]:
    """The last partitions of the newest `most` windows (by default `ci.windows`) that may be scored, oldest first; windows share
    no partition, and of each an outcome is known.

    A window is retired when its budget is used up, or when a release as of a later partition serves, which no candidate of the
    window could replace. A partition may be scored when every window that holds it is retired, those to come included.
    """
    bad = recalls.derived(ledger, product.name)
    delivered = [
        key
        for key in ledger.partitions(product.name, "raw")
        if (raw := ledger.current(product.name, "raw", key)) is not None and raw.id not in bad
    ]
    windows: list[str] = []
    taken: set[str] = set()
    is_retired = _retirement(ledger, product)
    calendar = partitions_of(product)
    opened = [key for key in delivered if calendar.contains(key) and calendar.as_of(key, product.window)]
    for key in reversed([key for key in opened if _has_own_rows(ledger, product, key)]):
        tested = test_keys(product, key)
        trained = set(train_keys(product, key)) & set(delivered)
        is_whole = set(tested) <= set(delivered) and len(tested) == product.window.test
        if is_whole and not taken & set(tested) and len(trained) >= product.window.minimum:
            holding = {calendar.shift(key, after) for key in tested for after in range(product.window.test)}
            if all(map(is_retired, holding)) and any(_has_outcomes(ledger, product, key) for key in tested):
                windows.append(key)
                taken |= set(tested)
        if len(windows) == (most or product.ci.windows):
            break
    return windows[::-1]


def _retirement(ledger: Ledger, product: Product) -> Callable[[str], bool]:
    budget, move = Budget(ledger), ledger.pointer(product.name, "production")

    @cache
    def is_retired(key: str) -> bool:
        is_passed = move is not None and move.body.as_of > key
        return is_passed or bool(budget.window(product, test_keys(product, key)).why_retired)

    return is_retired
