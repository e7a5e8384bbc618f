"""An alarm for products that cannot run: this sensor's ticks fail until their declarations are mended."""

from collections.abc import Sequence

import dagster as dg

from ml_assets.spec.product import ProductError

TICK_SECONDS = 300


def build(problems: Sequence[str]) -> dg.SensorDefinition:
    """The sensor that raises these problems, which `ml-assets deploy` reads off its metadata. The code location serves all other
    products meanwhile."""

    @dg.sensor(
        name="refused_products",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="What keeps declared products from running.",
        metadata={"problems": dg.MetadataValue.json(list(problems))},
    )
    def refused_products() -> dg.SkipReason:
        raise ProductError(*problems)

    return refused_products
