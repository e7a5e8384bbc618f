"""`ml-assets deliver`: a file into the landing folder, under the name that the product expects, whole or not at all."""

from pathlib import Path

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.core.lineage.partitions import PartitionKeyError, partitions_of, utc_now
from ml_assets.errors import MlAssetsError
from ml_assets.services.next_window import next_delivery
from ml_assets.spec.product import Product
from resources.outcome_files import put_outcomes


class DeliveryRefused(MlAssetsError):
    """The product has no place for such a file."""


@click.command()
@click.argument("product", type=PRODUCT)
@click.argument("table")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--partition", "-p", default="", help="Partition key; not given for a reference table. Of a static table: the next number."
)
def command(product: str, table: str, file: Path, partition: str) -> None:
    """Deliver FILE as TABLE of PRODUCT: copied under a temporary name, then renamed, so that no reader sees half of it.

    A table of outcomes (`labels.delivered`) may have several files a partition: each is delivered next to the others.
    The sensor launches the path once all tables of a partition are delivered; `ml-assets run` does so by hand.
    """
    space = workspace()
    spec = product_named(product, space.settings)
    if spec.partitions.is_static and not partition and table in spec.delivery.tables:
        partition = next_delivery(space.landing, space.ledger, spec, table)
    _require_place(spec, table, file.suffix.removeprefix("."), partition)
    if spec.labels and table in spec.labels.delivered:
        click.echo(put_outcomes(space.landing, spec, partition, file.read_bytes()))
        return
    click.echo(space.landing.put(spec, table, partition, file.read_bytes()))


def _require_place(product: Product, table: str, suffix: str, partition: str) -> None:
    """Refuse a table, partition or format that the product does not have, with those it has."""
    tables, reference = product.delivery.tables, product.delivery.reference
    apart = product.labels.delivered if product.labels else {}
    declared = {**tables, **reference, **apart}
    if table not in declared:
        raise DeliveryRefused(f"{product.name} has no table {table!r}; it has {', '.join(declared)}")
    if suffix != declared[table].format:
        raise DeliveryRefused(f"{product.name}: {table} is delivered as .{declared[table].format}, not as .{suffix}")
    if table in reference and partition:
        raise DeliveryRefused(f"{product.name}: {table} is a reference table, delivered whole: leave out --partition")
    if table in tables or table in apart:
        _require_partition(product, table, partition)


def _require_partition(product: Product, table: str, partition: str) -> None:
    spec = product.partitions
    span = f"one {spec.every} from {spec.first}" + (f" to before {spec.end}" if spec.end else "")
    if not partition:
        raise DeliveryRefused(f"{product.name}: {table} is delivered by partition: give --partition, {span}")
    try:
        calendar = partitions_of(product)
        known = calendar.contains(partition)
        if known:
            calendar.require_finished(partition, utc_now())
    except PartitionKeyError as error:
        raise DeliveryRefused(f"{product.name}: --partition {partition}: {error}") from error
    if not known:
        raise DeliveryRefused(f"{product.name} has no partition {partition}; a partition is {span}")
