"""Promises of promotions, asked again on outcomes that are complete: what is confirmed, broken or superseded is recorded, and a
broken promise rolls its release back where the product says so.

It compares what is recorded with what is known: a missed tick loses nothing, and a demoted release never comes back by itself.
"""

from datetime import UTC, datetime

import dagster as dg

from ml_assets.jobs.rollback import roll_back
from ml_assets.services.outcomes.probation import JUDGE, settle, to_demote
from ml_assets.spec.product import Product
from resources.endpoints.moves import Endpoints
from resources.lineage import Lineage

TICK_SECONDS = 30


def build(product: Product) -> dg.SensorDefinition:
    """The sensor of a product that declares `probation`; it launches nothing."""

    @dg.sensor(
        name=f"{product.name}_probation",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="What promotions promised, asked again on outcomes of what they served.",
    )
    def probation(
        context: dg.SensorEvaluationContext, lineage: dg.ResourceParam[Lineage], endpoints: dg.ResourceParam[Endpoints]
    ) -> dg.SkipReason:
        ended = settle(lineage, product, datetime.now(UTC))
        for promotion in ended:
            context.log.info(f"{product.name}: release {promotion.release}: {promotion.state}: {promotion.why}")
        words = [f"release {promotion.release} is {promotion.state}" for promotion in ended]
        if (broken := to_demote(lineage, product)) is not None:
            reason = f"its promise is broken: {broken.why}"
            pointer, reply = roll_back(endpoints, product, to=None, by=JUDGE, reason=reason)
            words.append(f"release {pointer.release} serves again; {reply}")
        return dg.SkipReason("; ".join(words) or "no probation ended")

    return probation
