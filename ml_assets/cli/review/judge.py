"""`ml-assets judge`: two walks side by side, by this code and this declaration's gates. `ml-assets ci` runs it with base's."""

from pathlib import Path

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named
from ml_assets.spec.key_assignments import with_values
from resources.settings import settings

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--protocol", type=click.IntRange(1, 1), required=True, help="The version of the files: 1.")
@click.option(
    "--base", type=_FOLDER, required=True, help="The folder that base's walk wrote: champion, labels, units and slices."
)
@click.option("--head", type=_FOLDER, required=True, help="The folder that head's walk wrote: the candidate.")
@click.option("--gates", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Gates to judge by instead, as JSON.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set a key of product.yaml: model.depth=6.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
def command(
    *, product: str, protocol: int, base: Path, head: Path, gates: Path | None, assignments: tuple[str, ...], output: Path
) -> None:
    """Judge what two walks of PRODUCT scored, on the rows that both have, and write judged.json (docs/ci.md)."""
    from ml_assets.core.changes.head_against_base import judged
    from ml_assets.services.review.protocol_files import read_gates, read_walk, write_record

    spec = with_values(product_named(product, settings()), assignments)
    write_record(output, judged(read_walk(base), read_walk(head), spec, read_gates(gates)))
