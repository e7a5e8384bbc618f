"""The snapshots that a run of a product's newest partition rebuilds: for `ml-assets run --stale` and the sensor of stale
paths."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ml_assets.core.lineage.planning import PATH, Item
from ml_assets.core.lineage.stages import test_keys
from ml_assets.services.comparisons import compare
from ml_assets.services.planning.plan import tell
from ml_assets.services.stale_inputs import estimated_cost, stale_of_path
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.ledger.budget import Budget
from resources.ledger.ledger import Ledger
from resources.lineage import Lineage


@dataclass(frozen=True)
class StalePath:
    """Snapshots that a run of the partition rebuilds (`rebuilt`), and stale ones that it leaves alone (`others`). `summary` is a
    line about both, `causes` are the root causes, each with the number of snapshots. Where the test window is retired, so that
    the candidate cannot be judged, nothing is made: the next partition opens a window, and rebuilds what is stale."""

    rebuilt: Sequence[Item]
    others: Sequence[Item]
    summary: str
    causes: Sequence[tuple[int, str]]


def newest_partition(landing: Landing, ledger: Ledger, product: Product) -> str | None:
    """The newest partition that is delivered or was read."""
    return max({*landing.delivered(product), *ledger.partitions(product.name, "raw")}, default=None)


def stale_path(lineage: Lineage, product: Product, partition: str) -> StalePath:
    """The stale snapshots of the partition's path and of all that it reads."""
    included, others = stale_of_path(lineage, product, partition)
    if why := _why_retired(lineage, product, partition, included):
        waiting = (
            f"{len(included)} stale snapshots wait for the next partition, whose test window is open: "
            f"this one's is retired, {why}"
        )
        return StalePath((), (*included, *others), f"{product.name} {partition}: {waiting}", ())
    counts = Counter(cause for item in included for cause in item.causes)
    causes = [(count, tell(lineage.ledger, product, cause)) for cause, count in counts.most_common()]
    return StalePath(
        included, others, f"{product.name} {partition}: {_summary(lineage, product, partition, included, others)}", causes
    )


def _why_retired(lineage: Lineage, product: Product, partition: str, included: Sequence[Item]) -> str:
    """The reason why a run of the partition could not judge its candidate; empty where it can, or has judged the same before."""
    stages = {item.stage for item in included}
    if "evaluation" not in stages:
        return ""
    window = Budget(lineage.ledger).window(product, test_keys(product, partition))
    if window.why_retired and not stages & {*PATH[: PATH.index("evaluation")]}:
        comparison = compare(lineage, product, partition).comparison
        return "" if any(look.comparison == comparison for look in window.looks) else window.why_retired
    return window.why_retired


def _summary(lineage: Lineage, product: Product, partition: str, included: Sequence[Item], others: Sequence[Item]) -> str:
    left = f"; {len(others)} stale snapshots of other partitions stay: no older test window is asked again" if others else ""
    if not included:
        return f"nothing to do, neither its path nor what it reads is stale{left}"
    reads = sum(item.partition != partition for item in included)
    cost = estimated_cost(lineage.ledger, product, included)
    return f"{len(included)} stale snapshots are rebuilt, {reads} of them what it reads; {cost}{left}"
