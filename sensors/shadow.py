"""New outcomes judge the release in the shadow, or the canary: harm ends it; one that is good enough launches its path.

It compares what is recorded with what is known, so nothing is lost with a missed tick; without new outcomes it reads no log.
"""

import dagster as dg

from ml_assets.core.digests import digest_json
from ml_assets.services.release_status import release_statuses
from ml_assets.services.shadow_trials import look, outcomes
from ml_assets.spec.product import Product
from resources.endpoints import shadows
from resources.endpoints.moves import Endpoints
from resources.lineage import Lineage
from resources.settings import Settings

TICK_SECONDS = 30


def build(product: Product) -> dg.SensorDefinition:
    """The product's sensor."""

    @dg.sensor(
        name=f"{product.name}_shadow",
        job_name=f"{product.name}_release",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Outcomes of requests that a release scored in the shadow, or answered as a canary.",
    )
    def shadow_outcomes(
        context: dg.SensorEvaluationContext,
        lineage: dg.ResourceParam[Lineage],
        endpoints: dg.ResourceParam[Endpoints],
        settings: dg.ResourceParam[Settings],
    ) -> dg.RunRequest | dg.SkipReason:
        running = shadows.running(lineage.ledger, product.name)
        message = "no release is on trial, neither as a shadow nor as a canary"
        if running is not None:
            known = [outcome.id for outcome in outcomes(lineage.ledger, product, after=running.body.as_of)]
            mark = digest_json([running.hash, *known])
            if mark == context.cursor:
                return dg.SkipReason(f"no new outcomes for {running.body.release}")
            message = f"{running.body.release}: {look(lineage, endpoints, settings, product, running).sentence}"
            context.log.info(f"{product.name}: {message}")
            context.update_cursor(mark)
        return _promotion(product, lineage) or dg.SkipReason(message)

    return shadow_outcomes


def _promotion(product: Product, lineage: Lineage) -> dg.RunRequest | None:
    """A run of the path for a release that was good enough in the shadow and doesn't serve yet."""
    champion = lineage.ledger.pointer(product.name, "production")
    last = shadows.newest(lineage.ledger, product.name, "production")
    if champion is None or last is None or last.body.outcome != "good enough":
        return None
    if last.body.champion != champion.body.bundle:
        return None
    for status in release_statuses(lineage, product):
        if status.release.snapshot == last.body.bundle and status.decision.action == "promote":
            return dg.RunRequest(run_key=f"shadow:{last.hash}", partition_key=status.release.partition)
    return None
