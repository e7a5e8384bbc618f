"""The next window in which a product's candidate can be judged."""

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.core.lineage.reads import is_beyond_folds
from ml_assets.core.lineage.stages import test_keys
from ml_assets.services.folds import fold_of, no_fold_left
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.ledger.budget import Budget
from resources.ledger.ledger import Ledger


def next_partition(ledger: Ledger, product: Product) -> str | None:
    """The partition that opens the next window: the first after the newest that was read; None after the last one, and where a
    static table has no reserve fold left: whether new rows open one, only their delivery says."""
    known, calendar = ledger.partitions(product.name, "raw"), partitions_of(product)
    key = calendar.shift(known[-1], 1) if known else calendar.start
    if calendar.is_static:
        return None if is_beyond_folds(product, key) else key
    for _ in range(product.window.test - 1 if product.gates.pooled else 0):
        # where windows are pooled a promotion uses up the rows of every window that holds them, those to come as well
        if not calendar.contains(key) or not Budget(ledger).window(product, test_keys(product, key)).why_retired:
            break
        key = calendar.shift(key, 1)
    return key if calendar.contains(key) else None


def next_delivery(landing: Landing, ledger: Ledger, product: Product, table: str) -> str:
    """The number under which the next file of a static table is delivered: that of the newest delivery where it lacks this table,
    else the one after it."""
    calendar = partitions_of(product)
    known = {*landing.delivered(product), *ledger.partitions(product.name, "raw")}
    begun = {key for other in product.delivery.tables for key in landing.listing(product).keys(other)}
    newest = max(known | begun, default="")
    if newest and newest not in known and not landing.file(product, table, newest).exists():
        return newest
    return calendar.shift(newest, 1) if newest else calendar.start


def next_window(ledger: Ledger, product: Product) -> str:
    """The next step, as a clause: the next window and when it is due, or a person."""
    key, calendar = next_partition(ledger, product), partitions_of(product)
    if key is None and calendar.is_static:
        newest = ledger.partitions(product.name, "raw")[-1]
        return no_fold_left(product, fold_of(ledger, product, newest), newest)
    if key is None:
        return f"the last partition is in: a person decides with `ml-assets override {product.name}`"
    if calendar.is_static:
        return f"the next window opens with delivery {key}, on reserve fold {calendar.ordinal(key)} of {calendar.folds}"
    _, end = calendar.window(key)
    return f"the next window opens with {key}, due {end:%Y-%m-%d %H:%M} UTC"
