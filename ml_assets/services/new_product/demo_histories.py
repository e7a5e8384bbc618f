"""Histories that `ml-assets demo` replays: the packaged year of flights, and those that `ml-assets new` kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml_assets.core.lineage.partitions import partitions_of, utc_now
from ml_assets.errors import MlAssetsError
from ml_assets.services.demo_flights import Year
from ml_assets.services.new_product.stored_history import StoredHistory
from ml_assets.spec.product import Product

FLIGHTS = "flights"


class NoHistory(MlAssetsError):
    """Nothing was kept that could be replayed for the product."""


@dataclass(frozen=True)
class DemoHistory:
    """`keys`: the partitions in order; `delivery`: the files of one, by table; `request`: a file with a request to try;
    `left`: how many of the last are left for a sensor to take; `unfinished`: why partitions that last on are left out."""

    keys: list[str]
    delivery: Callable[[str], Mapping[str, bytes]]
    reference: Callable[[], Mapping[str, bytes]]
    request: Path | None = None
    left: int = 0
    unfinished: Mapping[str, str] = field(default_factory=dict)


def history_of(product: Product, home: Path) -> DemoHistory:
    """The history of a product. Raises NoHistory where none was kept, or no partition of it is over yet."""
    stored, calendar, now = StoredHistory.of(home, product.name), partitions_of(product), utc_now()
    if kept := stored.keys(product):
        unfinished = {key: why for key in kept if (why := calendar.unfinished(key, now))}
        keys = [key for key in kept if key not in unfinished]
        if not keys:
            raise NoHistory(f"{product.name}: {kept[0]} is {unfinished[kept[0]]}; the demo replays partitions that are over")
        request = stored.request if stored.request.is_file() else None
        return DemoHistory(keys, lambda key: stored.delivery(product, key), dict, request, unfinished=unfinished)
    if product.name == FLIGHTS:
        year = Year.open()
        return DemoHistory(year.months, year.month, year.reference, left=1)
    raise NoHistory(
        f"{product.name}: there is no history in {stored.folder}; `ml-assets new` keeps one, and "
        f"`ml-assets deliver {product.name} TABLE FILE --partition KEY` delivers a partition by hand"
    )
