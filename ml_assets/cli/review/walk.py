"""`ml-assets walk`: what this code and declaration make of past windows, as files. `ml-assets ci` runs it once for each side."""

from pathlib import Path

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.core.changes.walk_protocol import JUDGED, PRODUCTION
from ml_assets.spec.key_assignments import with_values


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--protocol", type=click.IntRange(1, 1), required=True, help="The version of the files: 1.")
@click.option("--window", "-w", "windows", multiple=True, required=True, help="The last partition of a window; give it for each.")
@click.option("--head", type=click.Path(path_type=Path, file_okay=False, exists=True), help="A walk to judge against this one.")
@click.option("--gates", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Gates to judge by, as JSON.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set a key of product.yaml: model.depth=6.")
@click.option("--output", "-o", type=click.Path(path_type=Path, file_okay=False), required=True, help="The folder to write into.")
def command(
    *,
    product: str,
    protocol: int,
    windows: tuple[str, ...],
    head: Path | None,
    gates: Path | None,
    assignments: tuple[str, ...],
    output: Path,
) -> None:
    """Train and score PRODUCT on past windows, from the bytes that were delivered to the home that ML_ASSETS_UPSTREAM names.

    Writes walk.json, features.parquet and scores.parquet (docs/ci.md). With --head also judged.json, the other walk as candidate
    against this one, and production.json, against the release that serves. Nothing is charged, and nothing upstream is changed:
    all that is made lies in the home of ML_ASSETS_HOME.
    """
    from ml_assets.core.changes.head_against_base import judged
    from ml_assets.core.lineage.partitions import partitions_of
    from ml_assets.services.review.production_comparison import against_production
    from ml_assets.services.review.protocol_files import read_gates, read_walk, write_record, write_walk
    from ml_assets.services.review.walk import Walker, walk

    space = workspace()
    spec = with_values(product_named(product, space.settings), assignments)
    if space.lineage.upstream is None:
        raise click.UsageError("ML_ASSETS_UPSTREAM names no home; walk reads what was delivered there")
    keys = [partitions_of(spec).require(window) for window in windows]
    walker = Walker(space.lineage, space.lineage.upstream, space.dbt, spec, say=lambda words: click.echo(words, err=True))
    own = walk(walker, keys)
    write_walk(output, own)
    if head is not None:
        base_gates, other = read_gates(gates), read_walk(head)
        write_record(output / JUDGED, judged(own, other, spec, base_gates))
        write_record(output / PRODUCTION, against_production(walker, own, other, base_gates))
