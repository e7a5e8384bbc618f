"""`ml-assets outcomes`: what served predictions turned out to be worth."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.counter import counter
from ml_assets.cli.shared.tables import columns

if TYPE_CHECKING:
    from ml_assets.services.outcomes.probation import Probation


@click.command()
@click.argument("product", type=PRODUCT)
@click.option(
    "--plots", type=click.Path(file_okay=False, path_type=Path), help="Write a picture by partition of each number here."
)
@click.option("--json", "as_json", is_flag=True, help="Print the lines as JSON.")
def command(product: str, plots: Path | None, *, as_json: bool) -> None:
    """Show what served of PRODUCT, by partition, release and way of serving: the outcomes that came, the realised metric and
    value next to what was promised and, until outcomes are complete, an estimate without labels; then promises of promotions and
    what came of it (`probation`).
    """
    from ml_assets.services.outcomes.probation import probations
    from ml_assets.services.outcomes.scoreboard import HEADER, cells, estimate_error, scoreboard

    space = workspace()
    spec = product_named(product, space.settings)
    with counter(as_json=as_json) as tell:
        tell(f"reading what served of {product}")
        lines = scoreboard(space.lineage, spec, datetime.now(UTC))
    if plots is not None:
        from ml_assets.services.outcomes.pictures import pictures

        plots.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures(lines).items():
            (plots / f"{name}.svg").write_bytes(picture)
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=1))
        return
    if not lines:
        click.echo(_why_empty(product, has_labels=spec.labels is not None))
        return
    click.echo(columns([["partition", *HEADER], *([line.partition, *cells(line)] for line in lines)]))
    if (error := estimate_error(lines)) is not None:
        click.echo(f"\nEstimates were off by {error[0]:.4f} in the mean of {error[1]} lines whose outcomes are complete.")
    click.echo("An estimate knows no labels; it lets nothing pass.")
    if spec.probation:
        click.echo(f"\n{promises_board(probations(space.lineage, spec, datetime.now(UTC)))}")


def promises_board(promotions: "Sequence[Probation]") -> str:
    """The promises of promotions and what came of them, as a table."""
    if not promotions:
        return "No release was promoted yet."
    kept = sum(promotion.state == "confirmed" for promotion in promotions)
    ended = sum(promotion.state in ("confirmed", "broken") for promotion in promotions)
    rows = [[p.release, p.move.at[:10], str(len(p.partitions)), p.state, p.why] for p in promotions]
    return f"{columns([['release', 'promoted', 'partitions', 'promise', 'why'], *rows])}\n{kept} of {ended} promises kept."


def _why_empty(product: str, *, has_labels: bool) -> str:
    if not has_labels:
        return f"{product} does not follow outcomes: declare `labels: {{matures: 30d}}` in its product.yaml (docs/product.md)"
    return f"nothing of {product} served yet, or no outcomes were read: `ml-assets run {product} --partition …` reads them"
