"""The sensor that sends notices: into the outbox, and out by the channels of notify.yaml; one for all products."""

from collections.abc import Mapping

import dagster as dg

from ml_assets.services.automation.outbox import record, send
from ml_assets.services.automation.product_notices import causes
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.lineage import Lineage
from resources.notify.channels import channels
from resources.settings import Settings

TICK_SECONDS = 30


def build(products: Mapping[str, Product]) -> dg.SensorDefinition:
    """The sensor; it launches nothing. A message that does not get through is tried again at the next tick, which says why."""

    @dg.sensor(
        name="notices",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Deliveries refused, runs broken, releases withheld, waiting, promoted or rolled back, and partitions late.",
    )
    def notices(
        context: dg.SensorEvaluationContext,
        landing: dg.ResourceParam[Landing],
        lineage: dg.ResourceParam[Lineage],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SkipReason:
        for product in products.values():
            for notice in record(lineage.ledger, product.name, causes(lineage, landing, settings, product)):
                context.log.info(notice.subject)
        problems = send(lineage.ledger, channels(settings))
        for problem in problems:
            context.log.warning(problem)
        return dg.SkipReason("; ".join(problems) or "everything is told")

    return notices
