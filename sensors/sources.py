"""Partitions that a declared source has, or has otherwise now, are asked for once; what it answers is a delivery, which launches
the path.

It compares what was asked for with what the sources have: a missed tick loses nothing. A run that broke is tried again, as
`retries` says.
"""

from datetime import UTC, datetime

import dagster as dg

from ml_assets.core.lineage.partitions import utc_now
from ml_assets.services.automation.repeated_runs import tried_before
from ml_assets.services.extraction.table_source import DueExtraction, sources_of
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.lineage import Lineage

TICK_SECONDS = 60
MOST_RUNS = 25
"""Runs requested by one tick; the rest follow in the next ones, oldest partition first."""
SHOWN = 5
CAUSE_TAG = "ml-assets/extraction"
"""The tag of a run that says what is asked for: table, partition and the state of the source."""


def build(product: Product) -> dg.SensorDefinition:
    """The sensor of a product that declares `sources`."""

    @dg.sensor(
        name=f"{product.name}_sources",
        job_name=f"{product.name}_extract",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Partitions that a declared source can be asked for, or has otherwise now.",
    )
    def sources(
        context: dg.SensorEvaluationContext, landing: dg.ResourceParam[Landing], lineage: dg.ResourceParam[Lineage]
    ) -> dg.SensorResult | dg.SkipReason:
        requests, waits = list[dg.RunRequest](), list[str]()
        for source in sources_of(product, landing, lineage.ledger, context.instance):
            for due in source.due(utc_now()):
                request = _request(context.instance, product, due)
                if isinstance(request, str):
                    waits.append(request)
                else:
                    requests.append(request)
                if len(requests) == MOST_RUNS:
                    return dg.SensorResult(run_requests=requests)
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SkipReason("; ".join(waits[:SHOWN]) or "every partition that the sources have was asked for")

    return sources


def _request(instance: dg.DagsterInstance, product: Product, due: DueExtraction) -> dg.RunRequest | str:
    """The run that asks for a partition; why none does now, in words."""
    cause = f"{due.table}:{due.partition}:{due.state or ''}"
    tried = tried_before(instance, product, {CAUSE_TAG: cause, "product": product.name}, datetime.now(UTC))
    if tried.waits:
        return f"{due.table} {due.partition}: {tried.waits}"
    config = {"table": due.table, "partition": due.partition, **({"state": due.state} if due.state is not None else {})}
    return dg.RunRequest(
        run_key=f"{cause}:{tried.count}",
        run_config={"ops": {f"{product.name}__extract": {"config": config}}},
        tags={CAUSE_TAG: cause},
    )
