"""Outcomes that came, or are complete by now, launch the job that holds them against what served; no feature or score is made.

It compares what lies in the landing folder, and the clock, with what is recorded: a missed tick loses nothing. A run that broke
is tried again, as `retries` says.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from ml_assets.services.automation.new_outcomes import due_outcomes
from ml_assets.services.automation.repeated_runs import tried_before
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.lineage import Lineage
from resources.outcome_files import stray_outcomes
from resources.settings import Settings

TICK_SECONDS = 30
MOST_RUNS = 25
"""Runs requested by one tick; the rest follow in the next ones, oldest partition first."""
SHOWN = 5
CAUSE_TAG = "ml-assets/outcomes"
"""The tag of a run that says which outcomes it is about: their partition, files and maturity."""


def build(product: Product) -> dg.SensorDefinition:
    """The sensor of a product that declares `labels`."""

    @dg.sensor(
        name=f"{product.name}_new_outcomes",
        job_name=f"{product.name}_outcomes",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Outcomes that were delivered, or are complete by now.",
    )
    def new_outcomes(
        context: dg.SensorEvaluationContext,
        landing: dg.ResourceParam[Landing],
        lineage: dg.ResourceParam[Lineage],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult | dg.SkipReason:
        stray = stray_outcomes(landing, product)
        about = f"; not read, because named for no partition: {', '.join(stray[:SHOWN])}" if stray else ""
        due = due_outcomes(lineage, landing, settings, product, datetime.now(UTC))
        if not due:
            return dg.SkipReason(f"no outcomes are new, and none became complete{about}")
        requests, waits = _requests(context.instance, product, due)
        if not requests:
            return dg.SkipReason(f"{'; '.join(waits[:SHOWN])}{about}")
        return dg.SensorResult(run_requests=requests[:MOST_RUNS])

    return new_outcomes


def _requests(
    instance: dg.DagsterInstance, product: Product, due: Sequence[tuple[str, str]]
) -> tuple[list[dg.RunRequest], list[str]]:
    """The runs of the partitions that are due, and why those that are not requested wait."""
    requests, waits = [], []
    now = datetime.now(UTC)
    for key, mark in due:
        cause = f"{key}:{mark}"
        tried = tried_before(instance, product, {CAUSE_TAG: cause, "product": product.name}, now)
        if tried.waits:
            waits.append(f"{key}: {tried.waits}")
            continue
        run_key = f"{cause}:{tried.count}" if tried.count else cause
        requests.append(dg.RunRequest(run_key=run_key, partition_key=key, tags={CAUSE_TAG: cause}))
    return requests, waits
