"""When a product can ask about a candidate again."""

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.spec.product import Product
from resources.ledger.ledger import Ledger


def next_partition(ledger: Ledger, product: Product) -> str | None:
    """The partition that opens the next window: the first after the newest that was read; None after the last one."""
    known, calendar = ledger.partitions(product.name, "raw"), partitions_of(product)
    key = calendar.shift(known[-1], 1) if known else product.partitions.start
    return key if calendar.contains(key) else None


def next_window(ledger: Ledger, product: Product) -> str:
    """What comes next, as a clause: the next window and when it is due, or a person."""
    if (key := next_partition(ledger, product)) is None:
        return f"the last partition is in: a person decides with `ml-assets override {product.name}`"
    _, end = partitions_of(product).window(key)
    return f"the next window opens with {key}, due {end:%Y-%m-%d %H:%M} UTC"
