"""Code, configuration or libraries that changed launch the path of the newest partition, once per commit and definition.

Off unless `retrain: {on: [code]}` or somebody in Dagster turns it on: `ml-assets deploy` asks it after a merge, and launches
what it requests.
"""

import dagster as dg

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage.source import Source, source_text
from ml_assets.first_party import CodeChanged
from ml_assets.services.automation.policy import Trigger
from ml_assets.services.planning.plan import definitions
from ml_assets.services.stale_path import newest_partition, stale_path
from ml_assets.spec.product import Product
from resources.landing import Landing
from resources.lineage import Lineage
from resources.source_changes import changed_since_start

TICK_SECONDS = 60
RUNNING = dg.DefaultSensorStatus.RUNNING
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
        # Whatever others build meanwhile has to be looked at again when a change is taken back.
        context.update_cursor("" if stale.rebuilt else made_by)
        if not stale.rebuilt:
            return dg.SkipReason(stale.summary)
        why = "; ".join([stale.summary, *(cause for _, cause in stale.causes[:SHOWN])])
        tags = {"ml-assets/source": source_text(source), "ml-assets/stale": why}
        tags |= Trigger(partition, "code", made_by, why).tags
        return dg.RunRequest(run_key=f"{partition}:{made_by}", partition_key=partition, tags=tags)

    return stale
