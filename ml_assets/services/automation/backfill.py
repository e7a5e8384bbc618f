"""Which partitions of a range a backfill runs: those that are there and not current."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_assets.core.lineage.partitions import partitions_of, utc_now
from ml_assets.errors import MlAssetsError
from ml_assets.services.planning.plan import make_plan
from ml_assets.services.stale_path import newest_partition
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.lineage import Lineage

SHOWN = 3
"""Partitions that are named where nothing is delivered."""


class NothingInRange(MlAssetsError):
    """No partition of the range is delivered."""


@dataclass(frozen=True)
class Backfill:
    """The partitions of a range, in order: `current` need no run, of `missing` nothing is delivered. `last` is the newest one
    that is there."""

    to_run: Sequence[str]
    current: Sequence[str]
    missing: Sequence[str]
    last: str

    @property
    def summary(self) -> str:
        """A line with the numbers: to run, current, not delivered."""
        parts = [f"{len(self.to_run)} to run"]
        parts += [f"{len(self.current)} current"] if self.current else []
        named = ", ".join(self.missing[:SHOWN]) + (", …" if self.missing[SHOWN:] else "")
        parts += [f"{len(self.missing)} not delivered ({named})"] if self.missing else []
        return ", ".join(parts)


def backfill(
    lineage: Lineage,
    landing: Landing,
    product: Product,
    first: str,
    last: str | None,
    *,
    left_out: Collection[str] = (),
    cache: Path,
) -> Backfill:
    """The range from `first` to `last`, both included, or to the newest that is there. A partition before the last one is current
    without the stages that are `left_out`. Raises PartitionKeyError for keys that the calendar does not have, NothingInRange
    where nothing of the range is there."""
    calendar = partitions_of(product)
    newest = newest_partition(landing, lineage.ledger, product) or first
    keys = calendar.keys(calendar.require(first), calendar.require_finished(last or newest, utc_now()))
    there = {*landing.delivered(product), *lineage.ledger.partitions(product.name, "raw")}
    if not any(key in there for key in keys):
        where = landing.place(product)
        raise NothingInRange(f"{product.name}: nothing from {first} to {last or newest} is delivered; the files go to {where}")
    *_, end = (key for key in keys if key in there)
    current = up_to_date(lineage, landing, product, cache=cache, left_out=left_out, last=end)
    return Backfill(
        to_run=[key for key in keys if key in there and key not in current],
        current=[key for key in keys if key in current],
        missing=[key for key in keys if key not in there],
        last=end,
    )


def up_to_date(
    lineage: Lineage, landing: Landing, product: Product, *, cache: Path, left_out: Collection[str] = (), last: str = ""
) -> set[str]:
    """The partitions that were taken down the path and for which nothing would be made again, but for the stages that are
    `left_out` of all but the `last` one."""
    known = set(lineage.ledger.partitions(product.name, "raw"))
    planned = make_plan(lineage, landing, product, cache=cache) if known else []
    stale = {item.partition for item in planned if item.partition == last or item.stage not in left_out}
    return known - stale if "" not in stale else set()
