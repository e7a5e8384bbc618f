"""Runs whose process is gone, which Dagster still takes for running: they would keep the product's next run waiting."""

import json
import socket
import time
from typing import TYPE_CHECKING

from ml_assets.spec.product import Product
from resources.ledger import leases
from resources.ledger.ledger import Ledger

if TYPE_CHECKING:
    from dagster import DagsterInstance, RunRecord

GRACE_SECONDS = 120.0
"""How long a run may be starting before it holds a lease."""
ORPHAN_SECONDS = 15.0
"""How long, where the code server that launched it is dead: enough for a process that outlived it to take its lease."""


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
    if leases.is_known(ledger.engine, run):
        return ""
    waited = time.time() - (record.start_time or record.update_timestamp.timestamp())
    if waited > GRACE_SECONDS:
        return f"its process is gone: it did not begin within {GRACE_SECONDS:g} s"
    if waited > ORPHAN_SECONDS and _is_launcher_dead(record):
        return f"its process is gone: it did not begin within {ORPHAN_SECONDS:g} s, and the server that launched it is dead"
    return ""


def _is_launcher_dead(record: "RunRecord") -> bool:
    """Whether the code server that launched a run was one of this machine and is dead: it left its socket, and nobody listens
    there. A socket that is not here says nothing, it may be another machine's."""
    from dagster._core.storage.tags import GRPC_INFO_TAG

    path = json.loads(record.dagster_run.tags.get(GRPC_INFO_TAG, "{}")).get("socket")
    if not path:
        return False
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
