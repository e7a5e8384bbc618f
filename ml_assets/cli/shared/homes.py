"""Another home than this process's own, and a release that is carried between the two."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.references import release_named
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.facts import ReleaseFacts
from resources.settings import settings


def other_home(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments and options of a command that carries a release: RELEASE HOME --store --ledger --json."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print what was carried as JSON."),
        click.option("--ledger", metavar="URL", default="", help="The other home's ledger, if it is not in the folder."),
        click.option("--store", metavar="URL", default="", help="The other home's store, if it is not in the folder."),
        click.argument("home", type=click.Path(path_type=Path, file_okay=False)),
        click.argument("release"),
    ):
        command = decorate(command)
    return command


def own_and_other(home: Path, *, store: str, ledger: str) -> tuple[Workspace, Workspace]:
    """The home of this process, and the one in the folder, whose store and ledger may be elsewhere."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ML_ASSETS_UPSTREAM")}
    other = environ | {"ML_ASSETS_HOME": str(home), "ML_ASSETS_STORE": store, "ML_ASSETS_LEDGER": ledger}
    space, there = workspace(), Workspace(settings(other))
    if space.settings.ledger == there.settings.ledger:
        raise click.UsageError(f"{home} is the home of this process; name another one")
    return space, there


def carry(reference: str, source: Workspace, target: Workspace, *, as_json: bool) -> None:
    """Carry the release that a reference names in one home to another, and give its outcome."""
    from ml_assets.services.release_transfer import transfer

    release = release_named(source, reference)
    say: Callable[[str], None] = (lambda _: None) if as_json else click.echo
    done = transfer(release, source.lineage, target.lineage, say=say)
    name = ReleaseFacts.of(release).release
    kept = {asset: manifest.id for asset, manifest in done.kept.items()}
    counts = {"manifests": len(done.recorded), "files": done.files, "bytes": done.bytes}
    if as_json:
        click.echo(json.dumps({"release": name, "product": release.recipe.product, **counts, "kept": kept}))
        return
    for asset in kept:
        click.echo(f"{asset}: what was current stays current")
    if done.recorded or done.files:
        click.echo(f"{name}: {counts['manifests']} manifests and {done.files} files ({done.bytes:,} bytes) are new")
    else:
        click.echo(f"{name}: all of it was there")
    click.echo("no look, verdict or approval came along: it is judged again where it arrived, before it may serve")
