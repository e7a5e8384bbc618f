"""`ml-assets export`: lineage for other tools, and the ledger for an audit."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.group import Group
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.errors import MlAssetsError

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent


class ExportImpossible(MlAssetsError):
    """The official client is not installed, or nothing says what to export."""


@click.group(cls=Group)
def command() -> None:
    """Export lineage to other tools, or the ledger for an audit."""


@command.command()
@click.argument("reference", required=False)
@click.option("--all", "is_all", is_flag=True, help="Every manifest of the ledger.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write newline-delimited JSON to this file.")
@click.option("--url", help="Send to the OpenLineage endpoint at this URL.")
def openlineage(reference: str | None, is_all: bool, output: Path | None, url: str | None) -> None:
    """Export what made REFERENCE (as `ml-assets lineage` takes it), down to the delivered bytes, as OpenLineage events.

    Without --output and --url the events are printed, one a line.
    """
    if find_spec("openlineage") is None:
        raise ExportImpossible("the OpenLineage client is not installed: pip install 'ml-assets[openlineage]'")
    if (reference is None) is not is_all:
        raise ExportImpossible("give a REFERENCE, or --all for every manifest of the ledger")
    events = _events(workspace(), reference)
    if url:
        click.echo(f"{_send(events, url)} events sent to {url}")
        return
    from openlineage.client.serde import Serde

    _write((Serde.to_json(event) for event in events), output, what="events")


@command.command()
@click.option("--withhold", "kinds", multiple=True, metavar="KIND", help="Replace the bodies of this kind by their digests.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write newline-delimited JSON to this file.")
def ledger(kinds: tuple[str, ...], output: Path | None) -> None:
    """Export every entry of the ledger; `ml-assets verify --export FILE` checks it anywhere, also what is withheld.

    Without --output the entries are printed, one a line.
    """
    from ml_assets.services.export.ledger import WITHHELD_NEVER, lines
    from resources.ledger.ledger import KINDS

    if unknown := [kind for kind in kinds if kind not in KINDS or kind == WITHHELD_NEVER]:
        allowed = ", ".join(kind for kind in KINDS if kind != WITHHELD_NEVER)
        raise ExportImpossible(f"--withhold {unknown[0]}: one of {allowed}")
    _write(lines(workspace().ledger.entries(), withhold=kinds), output, what="entries")


def _write(lines: Iterator[str], output: Path | None, *, what: str) -> None:
    from resources.store.blobs import write_atomically

    if output is None:
        for line in lines:
            click.echo(line)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    write_atomically(output.resolve(), text.encode())
    click.echo(f"{output}: {text.count(chr(10))} {what}")


def _events(space: Workspace, reference: str | None) -> "Iterator[RunEvent]":
    from ml_assets.cli.shared.references import resolve
    from ml_assets.services.export.openlineage import Exporter, manifests_behind, recorded

    ids = None
    if reference:
        manifest = resolve(space, reference).manifest
        if manifest is None:
            raise ExportImpossible(f"{reference!r} is delivered bytes, which nothing made; give what was made from them")
        ids = manifests_behind(space.lineage, manifest)
    exporters: dict[str, Exporter] = {}
    for manifest, entry in recorded(space.ledger, ids):
        name = manifest.recipe.product
        if name not in exporters:
            exporters[name] = Exporter(space.lineage, space.dbt, product_named(name, space.settings))
        yield from exporters[name].events(manifest, entry)


def _send(events: "Iterator[RunEvent]", url: str) -> int:
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.http import HttpConfig, HttpTransport

    client = OpenLineageClient(transport=HttpTransport(HttpConfig(url=url)))
    count = 0
    for event in events:
        client.emit(event)
        count += 1
    client.close()
    return count
