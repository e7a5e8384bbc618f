"""Code, configuration or libraries that changed launch the path of the newest partition, once per commit and definition.

Off unless `retrain: {on: [code]}` or somebody in Dagster turns it on: `ml-assets deploy` asks it after a merge, and launches
what it requests.
"""

from datetime import UTC, datetime

import dagster as dg

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.source import Source, source_text
from ml_assets.first_party import CodeChanged
from ml_assets.services.automation.policy import Trigger, tried
from ml_assets.services.automation.satisfied_triggers import record_satisfied, satisfied_by
from ml_assets.services.judging.gate_standards import refused_gates
from ml_assets.services.planning.plan import definitions
from ml_assets.services.stale_path import newest_partition, stale_path
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.ledger.ledger import Ledger
from resources.ledger.triggers import triggers
from resources.lineage import Lineage
from resources.source_changes import changed_since_start

TICK_SECONDS = 60
RUNNING = dg.DefaultSensorStatus.RUNNING
STALE = "stale"
"""The cursor after a look that found something stale; otherwise it is the digest of what was looked at."""
SHOWN = 3
"""Root causes that a run's tag names."""


def build(product: Product, source: Source | None) -> dg.SensorDefinition:
    """The product's sensor; its metadata name the source that this code location was loaded from."""

    @dg.sensor(
        name=f"{product.name}_stale",
        job_name=f"{product.name}_path",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=RUNNING if "code" in product.retrain.on else dg.DefaultSensorStatus.STOPPED,
        description="What other code, configuration or libraries made stale.",
        metadata={"source": dg.MetadataValue.json(dict(source or {}))},
    )
    def stale(
        context: dg.SensorEvaluationContext, landing: dg.ResourceParam[Landing], lineage: dg.ResourceParam[Lineage]
    ) -> dg.RunRequest | dg.SkipReason:
        if changes := changed_since_start(product):
            raise CodeChanged(changes)
        partition = newest_partition(landing, lineage.ledger, product)
        if partition is None:
            return dg.SkipReason(f"{product.name}: nothing is delivered")
        made_by = digest_json([source, {name: vars(definition) for name, definition in definitions(product).items()}])
        if context.cursor == made_by:
            return dg.SkipReason(f"{product.name}: code, configuration and libraries are as when nothing was stale last")
        stale = stale_path(lineage, product, partition)
        key, is_first = f"{partition}:{made_by}", not context.cursor
        # Whatever others build meanwhile has to be looked at again when a change is taken back.
        context.update_cursor(STALE if stale.rebuilt else made_by)
        if not stale.rebuilt:
            satisfied = "" if is_first else _satisfied(lineage, product, partition, key, source)
            return dg.SkipReason("; ".join(filter(None, [stale.summary, satisfied])))
        why = "; ".join([stale.summary, *(cause for _, cause in stale.causes[:SHOWN])])
        since = _last_other(lineage.ledger, product, key)
        trigger = tried(context.instance, product, Trigger(partition, "code", key, why), datetime.now(UTC), since=since)
        if isinstance(trigger, str):
            return dg.SkipReason(trigger)
        if refusal := refused_gates(lineage.ledger, product):
            return dg.SkipReason(refusal)
        tags = {"ml-assets/source": source_text(source), "ml-assets/stale": why, **trigger.tags}
        run_key = ":".join([key, *([f"{since:%Y%m%dT%H%M%S}"] if since else []), str(trigger.tries)])
        return dg.RunRequest(run_key=run_key, partition_key=partition, tags=tags)

    return stale


def _satisfied(lineage: Lineage, product: Product, partition: str, key: str, source: Source | None) -> str:
    """Record, once, that other code needs no training, as what it makes was evaluated already; what was recorded, in words."""
    recorded = triggers(lineage.ledger, product.name)
    if "code" not in product.retrain.on or any(entry.body.kind == "code" and entry.body.key == key for entry in recorded):
        return ""
    there = satisfied_by(lineage, product, partition)
    trigger = Trigger(partition, "code", key, f"the code location was loaded from {source_text(source)}")
    return record_satisfied(lineage, product, trigger, there) if there else ""


def _last_other(ledger: Ledger, product: Product, key: str) -> datetime | None:
    """When other code than this was the reason last: what was made for this one before then may have been made again since."""
    others = [entry.at for entry in triggers(ledger, product.name) if entry.body.kind == "code" and entry.body.key != key]
    return datetime.fromisoformat(others[-1]) if others else None
