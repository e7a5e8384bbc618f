"""The sensor that launches trainings which `retrain:` asks for and no delivery has launched: by a schedule, or because one was
held back until now. Where it asks for a candidate that was evaluated already, that is recorded and nothing is launched."""

from datetime import UTC, datetime

import dagster as dg

from ml_assets.services.automation.policy import due_training
from ml_assets.services.automation.satisfied_triggers import record_satisfied, satisfied_by
from ml_assets.services.judging.gate_standards import refused_gates
from ml_assets.spec.product import Product
from resources.lineage import Lineage

TICK_SECONDS = 30


def build(product: Product) -> dg.SensorDefinition:
    """The product's sensor. The path brings every input up to date first, and makes again only what is not current."""

    @dg.sensor(
        name=f"{product.name}_retrain",
        job_name=f"{product.name}_train",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trainings that the product's policy asks for.",
    )
    def retrain(context: dg.SensorEvaluationContext, lineage: dg.ResourceParam[Lineage]) -> dg.RunRequest | dg.SkipReason:
        trigger = due_training(lineage.ledger, context.instance, product, datetime.now(UTC))
        if isinstance(trigger, str):
            return dg.SkipReason(trigger)
        if there := satisfied_by(lineage, product, trigger.partition):
            return dg.SkipReason(record_satisfied(lineage, product, trigger, there))
        if refusal := refused_gates(lineage.ledger, product):
            return dg.SkipReason(refusal)
        key = f"{trigger.kind}:{trigger.key}:{trigger.tries}"
        return dg.RunRequest(run_key=key, partition_key=trigger.partition, tags=trigger.tags)

    return retrain
