"""`ml-assets drift`: what drifts in a product, partition by partition."""

import json
from pathlib import Path

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.counter import counter


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--partition", "-p", help="The last partition; the newest if not given.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page of each column to this file.")
@click.option(
    "--evidently",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write Evidently's page of the last partition to this file.",
)
@click.option(
    "--served", is_flag=True, help="Look again whether what was asked about the last partition until now differs from training."
)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def command(
    product: str, partition: str | None, html: Path | None, evidently: Path | None, *, served: bool, as_json: bool
) -> None:
    """Show the verdicts on data, scores and served requests of PRODUCT by partition, in words, with the realised metric.

    Example: `ml-assets drift flights --html build/drift.html`.
    """
    from ml_assets.core.lineage.partitions import partitions_of
    from ml_assets.services.watching.overview import NOT_MONITORED, drift_page, watched
    from ml_assets.services.watching.served_traffic import NOT_SERVED, served_verdict

    space = workspace()
    spec = product_named(product, space.settings)
    until = partitions_of(spec).require(partition) if partition else ""
    with counter(as_json=as_json) as tell:
        tell(f"comparing the partitions of {product} with those before them")
        partitions = watched(space.lineage, spec, space.settings, until=until)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(drift_page(spec, partitions), encoding="utf-8")
    if evidently is not None:
        from ml_assets.services.watching.evidently_page import evidently_page

        evidently.parent.mkdir(parents=True, exist_ok=True)
        evidently.write_bytes(evidently_page(space.lineage, spec, partitions[-1].data))
    skew = served_verdict(space.lineage, spec, space.settings, partitions[-1].partition) if served else None
    if as_json:
        payload = [
            {
                "partition": watched_partition.partition,
                "rows": watched_partition.rows,
                "data": watched_partition.data.values,
                "scores": watched_partition.scores.values if watched_partition.scores else None,
                "requests": watched_partition.requests_state or None,
                "realised": watched_partition.realised,
            }
            for watched_partition in partitions
        ]
        payload[-1] |= {"served": skew.values if skew else None} if served else {}
        click.echo(json.dumps(payload, indent=1))
        return
    for watched_partition in partitions:
        click.echo(f"{watched_partition.partition}  {watched_partition.rows:,} rows  {watched_partition.realised}".rstrip())
        click.echo(f"  data    {watched_partition.data.sentence}")
        click.echo(f"  scores  {watched_partition.scores.sentence if watched_partition.scores else NOT_MONITORED}")
        is_asked_again = served and watched_partition is partitions[-1]
        if watched_partition.requests and not is_asked_again:
            click.echo(f"  served  {watched_partition.requests}")
    if served:
        click.echo(f"  served  {skew.sentence if skew else NOT_SERVED}")
