"""A new or changed file in the landing folder launches the path for its partition, once per content; a run that broke is launched
again.

What the path has read already, run by hand or by another sensor's life, is not new.
"""

import dagster as dg

from ml_assets.core.lineage.attempts import Delivery, NextAttempt
from ml_assets.services.automation.attempts import NUMBER_TAG, TRIES_TAG, Landed, settle
from ml_assets.services.automation.dead_runs import end_dead_runs
from ml_assets.services.automation.deliveries import due
from ml_assets.services.automation.policy import new_partition, trains_with_data
from ml_assets.services.judging.gate_standards import refused_gates
from ml_assets.spec.product import Product
from resources.dagster_assets import make_known
from resources.landing import Landing, NotDelivered
from resources.lineage import Lineage
from resources.settings import Settings
from resources.source_changes import changed_since_start

TICK_SECONDS = 10
MOST_RUNS = 25
"""Runs requested by one tick; the rest follow in the next ones, oldest partition first."""
SHOWN = 5


def build(product: Product) -> dg.SensorDefinition:
    """The product's sensor; a quiet tick reads no file."""

    @dg.sensor(
        name=f"{product.name}_new_data",
        job_name=f"{product.name}_{'path' if trains_with_data(product) else 'data'}",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="New or changed deliveries, and those whose run broke.",
    )
    def new_data(
        context: dg.SensorEvaluationContext,
        landing: dg.ResourceParam[Landing],
        lineage: dg.ResourceParam[Lineage],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult | dg.SkipReason:
        landed = Landed(landing, product, settings.cache)
        about = _about(product, landed)
        if about:
            context.log.warning(f"{product.name}{about}")
        for ended in end_dead_runs(lineage.ledger, context.instance, product):
            context.log.warning(f"{product.name}: {ended}")
        for end in settle(lineage, context.instance, product):
            context.log.info(
                f"{product.name} {end.partition}: attempt {end.number} ended: {end.end}; {end.outcome}: {end.reason}"
            )
        if product.partitions.is_static:  # deliveries that were run elsewhere too: a person may run them again here
            known = {*landed.listing.partitions, *lineage.ledger.partitions(product.name, "raw")}
            make_known(context.instance, product, known)
        try:
            launches = due(lineage, landed, context.instance, most=MOST_RUNS)
        except NotDelivered as error:
            return dg.SkipReason(f"{error}{about}")
        finally:
            landed.digests.write()
        if launches.launched and trains_with_data(product) and (refusal := refused_gates(lineage.ledger, product)):
            return dg.SkipReason(f"{refusal}; until then {len(launches.launched)} partitions wait{about}")
        if launches.launched:
            return dg.SensorResult(run_requests=[_request(product, delivery, step) for delivery, step in launches.launched])
        waits = "; ".join(launches.waits[:SHOWN])
        return dg.SkipReason(f"{waits or 'no delivered partition is new or changed'}{about}")

    return new_data


def _about(product: Product, landed: Landed) -> str:
    """Further notes for people: files that belong to no partition, and code that changed since it was loaded."""
    stray = [f"{name} ({why})" for name, why in landed.listing.stray.items()]
    more = f" and {len(stray) - SHOWN} more" if len(stray) > SHOWN else ""
    about = f"; not read: {', '.join(stray[:SHOWN])}{more}" if stray else ""
    if changes := changed_since_start(product):
        about = f"{about}; {changes}"
    return about


def _request(product: Product, delivery: Delivery, step: NextAttempt) -> dg.RunRequest:
    """A run of the path, or of the data alone. The number lets content that comes back after another one run again, and once."""
    tags = {"ml-assets/content": delivery.content, NUMBER_TAG: str(step.number), TRIES_TAG: str(step.tries)}
    if trains_with_data(product):
        tags |= new_partition(delivery.partition).tags
    key = f"{delivery.partition}:{delivery.content[:12]}:{step.number}"
    return dg.RunRequest(run_key=key, partition_key=delivery.partition, tags=tags)
