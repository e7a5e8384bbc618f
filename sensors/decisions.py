"""A person's decision that has not taken effect yet launches the release run of its partition, once per decision: an approval, an
override, or the end of a freeze.

It also records what servers that may not write did while the ledger was away (break-glass rollbacks).

It compares the recorded decisions with the current releases, whoever recorded them and however: a missed tick loses nothing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from ml_assets.core.release.records import OverrideRecord
from ml_assets.services.release_status import release_statuses
from ml_assets.services.replicas.reconcile import reconcile_reported
from ml_assets.spec.product import Product
from resources.endpoints.moves import Endpoints
from resources.ledger.decisions import Decisions
from resources.ledger.recalls import derived
from resources.ledger.triggers import frozen, last_freeze
from resources.lineage import Lineage

TICK_SECONDS = 10


def build(product: Product) -> dg.SensorDefinition:
    """The product's sensor."""

    @dg.sensor(
        name=f"{product.name}_decisions",
        job_name=f"{product.name}_release",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Approvals and overrides that have not taken effect yet.",
    )
    def decisions(
        context: dg.SensorEvaluationContext, lineage: dg.ResourceParam[Lineage], endpoints: dg.ResourceParam[Endpoints]
    ) -> dg.SensorResult | dg.SkipReason:
        for outcome in reconcile_reported(endpoints, product):
            context.log.warning(f"{product.name}: {outcome}")
        requests = list(_requests(product, lineage))
        if not requests:
            return dg.SkipReason("every decision has taken effect, or waits for another one")
        return dg.SensorResult(run_requests=requests)

    return decisions


def _requests(product: Product, lineage: Lineage) -> Iterator[dg.RunRequest]:
    ledger, decisions = lineage.ledger, Decisions(lineage.ledger)
    recorded = [entry for entry in decisions.history() if entry.body.product == product.name]
    freeze = last_freeze(ledger, product.name)
    if not recorded and not freeze:
        return
    for status in release_statuses(lineage, product) if not frozen(ledger, product.name, datetime.now(UTC)) else ():
        statements = decisions.statements(product, status.release, status.evaluation)
        newest = statements[-1].entry if statements else status.override.entry if status.override else ""
        if freeze and ledger.record_of(status.release).at < freeze.body.until:
            newest = freeze.hash  # it was kept out of production until then
        if newest and status.decision.action == "promote":
            yield _request(status.release.partition, newest)
    bad = derived(ledger, product.name)
    for key in sorted({entry.body.partition for entry in recorded if isinstance(entry.body, OverrideRecord)}):
        evaluation = ledger.current(product.name, "evaluation", key)
        release = ledger.current(product.name, "release", key)
        if evaluation is None or evaluation.id in bad:
            continue
        override = decisions.override(product, evaluation, lineage.made_from(evaluation)["model"])
        is_released = release is not None and lineage.made_from(release)["evaluation"].id == evaluation.id
        if override is not None and not is_released:
            yield _request(key, override.entry)


def _request(partition: str, entry: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=f"{partition}:{entry}", partition_key=partition, tags={"ml-assets/decision": entry})
