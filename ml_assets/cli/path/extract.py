"""`ml-assets extract`: ask the declared sources of a product, and deliver what they answer."""

from typing import TYPE_CHECKING

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.core.lineage.partitions import partitions_of, utc_now
from ml_assets.spec.product import Product

if TYPE_CHECKING:
    from ml_assets.services.extraction.table_source import TableSource


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--partition", "-p", help="Partition key; without it, everything that is due.")
@click.option("--from", "first", metavar="KEY", help="Ask for all partitions from this one on that were not asked for before.")
@click.option("--to", "last", metavar="KEY", help="The last one of --from; the newest that is over if not given.")
@click.option("--table", help="The table whose source is asked; all that have one if not given.")
@click.option("--again", is_flag=True, help="Ask for what was asked for, or delivered by hand, before.")
def command(*, product: str, partition: str | None, first: str | None, last: str | None, table: str | None, again: bool) -> None:
    """Ask the sources that PRODUCT declares for rows, and deliver them: each partition once, whole or not at all.

    Sensors do so for every partition that is over; a delivery launches the path. With --again what lies in the landing folder is
    replaced by what the source has now: other rows are a correction, and the same rows are nothing new. Tables that are delivered
    whole have no partition: --again --table TABLE.
    """
    from ml_assets.services.extraction.table_source import TableSource, sources_of
    from resources.dagster_instance import open_instance

    if sum(map(bool, (partition, first))) > 1 or (last and not first):
        raise click.UsageError("--partition is one partition, --from to --to are a range; give one or the other")
    space = workspace()
    spec = product_named(product, space.settings)
    keys = [partition] if partition else _range(spec, first, last) if first else []
    with open_instance(space.settings) as instance:
        around = (space.landing, space.ledger, instance)
        named = [TableSource(spec, table or "", *around)] if table or not spec.sources else sources_of(spec, *around)
        sources = [source for source in named if source.spec and (source.calendar or not keys)]
        if again and not keys and any(source.calendar for source in sources):
            raise click.UsageError("--again needs --partition KEY or --from KEY; or --table, of a table that is delivered whole")
        count = sum(_extract(source, keys, again=again, is_range=bool(first)) for source in sources)
    if not count:
        click.echo(f"{product}: nothing is due; `ml-assets extract {product} --partition KEY --again` asks for a partition again")


def _range(product: Product, first: str, last: str | None) -> list[str]:
    """The partitions of a range, each of which is over. Raises PartitionKeyError."""
    calendar = partitions_of(product)
    newest = calendar.shift(calendar.key_of(utc_now()), -1)
    return [*calendar.keys(calendar.require_finished(first, utc_now()), calendar.require_finished(last or newest, utc_now()))]


def _extract(source: "TableSource", keys: list[str], *, again: bool, is_range: bool) -> int:
    """Ask one source and say what it delivered; how often it was asked."""
    requests: list[tuple[str, str | None]] = [(key, None) for key in keys]
    if is_range and not again:
        done_before = source.known
        requests = [(key, None) for key in keys if key not in done_before]
    elif not keys:
        requests = [("", None)] if again else [(due.partition, due.state) for due in source.due(utc_now())]
    for key, state in requests:
        done = source.extract(key, state=state, again=again)
        name, record = " ".join(filter(None, [source.table, done.record.partition])), done.record
        click.echo(f"{name}: {record.rows:,} rows, {record.content[:12]}{'' if done.is_new else ', as before'}")
    return len(requests)
