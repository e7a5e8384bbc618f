"""`ml-assets card`: the model card of a release."""

from pathlib import Path

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.references import resolve
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import load_all

CARD = "card.md"


class NoCard(MlAssetsError):
    """The reference names no release, or one that was made before model cards existed."""


@click.command()
@click.argument("release")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file.")
def command(release: str, output: Path | None) -> None:
    """Print the model card of RELEASE (a name, digest or PRODUCT/release:PARTITION) as Markdown: what a person reads before
    approving it. Where other code, configuration or libraries would evaluate it now, that comes first; what asked for the
    training, which is not part of the release, comes last."""
    space = workspace()
    manifest = resolve(space, release).manifest
    if manifest is None or CARD not in space.snapshots.open(manifest.snapshot).members:
        raise NoCard(f"{release!r} has no model card; releases have one: `ml-assets status PRODUCT` lists them")
    content = _warning(space, manifest) + space.snapshots.read(manifest.snapshot, CARD).decode() + _trigger(space, manifest)
    if output is None:
        click.echo(content, nl=False)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(content, encoding="utf-8")
        click.echo(f"wrote {output}")


def _warning(space: Workspace, release: Manifest) -> str:
    """The lines above the card of a release whose evaluation would not be made like this now, or was charged no look here. A
    product that isn't declared any more has no code to compare with."""
    from ml_assets.services.stale_evaluations import made_by_other_code, not_charged

    product = load_all(space.settings.products).get(release.recipe.product)
    evaluation = space.lineage.made_from(release).get("evaluation")
    if product is None or evaluation is None:
        return ""
    stale = made_by_other_code(space.lineage, product, evaluation)
    uncharged = not_charged(space.lineage, product, evaluation)
    return (stale.markdown if stale else "") + (f"> **{uncharged}**\n\n" if uncharged else "")


def _trigger(space: Workspace, release: Manifest) -> str:
    """The lines that name what asked for the training of a release's model, and what asked again and was satisfied by it; empty
    where a person ran it."""
    from ml_assets.core.lineage.facts import ReleaseFacts
    from resources.ledger.triggers import triggers

    run = space.ledger.record_of(space.lineage.made_from(release)["model"]).body.run
    name, entries = f"release {ReleaseFacts.of(release).release}", triggers(space.ledger, release.recipe.product)
    because = [f"\nTrained because {e.body.why} ({e.at[:16]} UTC, run {run[:8]}).\n" for e in entries if e.body.run == run]
    again = [f"\nSatisfies: {e.body.why} ({e.at[:16]} UTC).\n" for e in entries if e.body.satisfied_by == name]
    return "".join([*because[:1], *again])
