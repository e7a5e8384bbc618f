"""Whether a run that a sensor asked for before is asked for again: as `retries` of the product says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ml_assets.spec.product import Product

if TYPE_CHECKING:
    from dagster import DagsterInstance


@dataclass(frozen=True)
class PastRuns:
    """How many runs there were for one cause, and why none is asked for now; "" where one may be."""

    count: int
    waits: str = ""


def tried_before(instance: "DagsterInstance", product: Product, tags: Mapping[str, str], now: datetime) -> PastRuns:
    """The runs with these tags so far, at a moment (UTC): one that goes on or ended well needs no other, one that broke is tried
    again `retries.most` times, each time after a wait twice as long."""
    from dagster import RunsFilter

    runs = instance.get_run_records(RunsFilter(tags=dict(tags)))
    if not runs:
        return PastRuns(0)
    newest, count = runs[0], len(runs)
    name = f"run {newest.dagster_run.run_id[:8]}"
    if not newest.dagster_run.is_finished:
        return PastRuns(count, f"{name} goes on")
    if newest.dagster_run.is_success:
        return PastRuns(count, f"{name} ended well, and there is nothing new since")
    if count > product.retries.most:
        return PastRuns(count, f"{name} broke, {count} in all: it is not tried again by itself")
    due = (newest.end_time or newest.update_timestamp.timestamp()) + product.retries.wait * 2 ** (count - 1)
    if now.timestamp() < due:
        return PastRuns(count, f"{name} broke and is tried again at {datetime.fromtimestamp(due, UTC):%H:%M:%S} UTC")
    return PastRuns(count)
