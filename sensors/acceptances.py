"""A partition that was refused, and then accepted by a person, goes down the path once per acceptance."""

from collections.abc import Iterator

import dagster as dg

from ml_assets.spec.product import Product
from resources.ledger.acceptances import accepted
from resources.ledger.attempts import newest
from resources.ledger.ledger import Ledger
from resources.lineage import Lineage

TICK_SECONDS = 10


def build(product: Product) -> dg.SensorDefinition:
    """The product's sensor."""

    @dg.sensor(
        name=f"{product.name}_acceptances",
        job_name=f"{product.name}_path",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Partitions that `ml-assets accept` says are right, though they were refused.",
    )
    def acceptances(context: dg.SensorEvaluationContext, lineage: dg.ResourceParam[Lineage]) -> dg.SensorResult | dg.SkipReason:
        requests = list(requested(product, lineage.ledger))
        return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("no accepted partition waits")

    return acceptances


def requested(product: Product, ledger: Ledger) -> Iterator[dg.RunRequest]:
    """The runs that are asked for now."""
    words = accepted(ledger, product.name)
    attempts = newest(ledger, product.name, [*words]) if words else {}
    for key, entry in words.items():
        if (last := attempts.get(key)) and last.record.end == "refused" and last.at < entry.at:
            tags = {"ml-assets/decision": entry.hash}
            yield dg.RunRequest(run_key=f"{key}:{entry.hash}", partition_key=key, tags=tags)
