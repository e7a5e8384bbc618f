"""`ml-assets card`: the model card of a release."""

from pathlib import Path

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.references import resolve
from ml_assets.errors import MlAssetsError

CARD = "card.md"


class NoCard(MlAssetsError):
    """What was named is no release, or one from before there were cards."""


@click.command()
@click.argument("release")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
def command(release: str, output: Path | None) -> None:
    """Print the model card of RELEASE (a name, digest or PRODUCT/release:PARTITION) as Markdown: what a person reads before
    approving it."""
    space = workspace()
    found = resolve(space, release).manifest
    if found is None or CARD not in space.snapshots.open(found.snapshot).members:
        raise NoCard(f"{release!r} has no model card; releases have one: `ml-assets status PRODUCT` lists them")
    content = space.snapshots.read(found.snapshot, CARD).decode()
    if output is None:
        click.echo(content, nl=False)
    else:
        output.write_text(content, encoding="utf-8")
        click.echo(f"wrote {output}")
