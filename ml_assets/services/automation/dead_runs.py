"""Runs whose process is gone, which Dagster still takes for running: they would keep the product's next run waiting."""

import time
from typing import TYPE_CHECKING

from ml_assets.spec.product import Product
from resources.ledger import leases
from resources.ledger.ledger import Ledger

if TYPE_CHECKING:
    from dagster import DagsterInstance, RunRecord

GRACE_SECONDS = 120.0
"""How long a run may be starting before it holds a lease."""


def end_dead_runs(ledger: Ledger, instance: "DagsterInstance", product: Product) -> list[str]:
    """End every run of the product whose process is gone; what was ended and why, in words."""
    from dagster import DagsterRunStatus, RunsFilter

    statuses = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    ended = []
    for record in instance.get_run_records(RunsFilter(tags={"product": product.name}, statuses=statuses)):
        run = record.dagster_run
        if not (why := _why_gone(ledger, record)):
            continue
        leases.revoke(ledger.engine, run.run_id)
        if run.status == DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, why)
        else:
            instance.report_run_failed(run, why)
        ended.append(f"run {run.run_id[:8]} of {run.tags.get('dagster/partition', product.name)}: {why}")
    return ended


def _why_gone(ledger: Ledger, record: "RunRecord") -> str:
    run = record.dagster_run.run_id
    if leases.left_by_a_dead_process(ledger.engine, run):
        return "its process is gone: it was killed, or the machine ended it"
    if silent := leases.expired(ledger.engine, run):
        return f"its process is gone: nothing was heard of it for {silent:.0f} s"
    since = record.start_time or record.update_timestamp.timestamp()
    if time.time() - since > GRACE_SECONDS and not leases.is_known(ledger.engine, run):
        return f"its process is gone: it did not begin within {GRACE_SECONDS:g} s"
    return ""
