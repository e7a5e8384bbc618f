"""`ml-assets card`: the model card of a release."""

from pathlib import Path

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.references import resolve
from ml_assets.errors import MlAssetsError

CARD = "card.md"


class NoCard(MlAssetsError):
    """The reference names no release, or one that was made before model cards existed."""


@click.command()
@click.argument("release")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
def command(release: str, output: Path | None) -> None:
    """Print the model card of RELEASE (a name, digest or PRODUCT/release:PARTITION) as Markdown: what a person reads before
    approving it."""
    space = workspace()
    manifest = resolve(space, release).manifest
    if manifest is None or CARD not in space.snapshots.open(manifest.snapshot).members:
        raise NoCard(f"{release!r} has no model card; releases have one: `ml-assets status PRODUCT` lists them")
    content = space.snapshots.read(manifest.snapshot, CARD).decode()
    if output is None:
        click.echo(content, nl=False)
    else:
        output.write_text(content, encoding="utf-8")
        click.echo(f"wrote {output}")
