"""`ml-assets export`: lineage for other tools."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_assets.cli.common import product_named, workspace
from ml_assets.errors import MlAssetsError
from resources.workspace import Workspace

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent


class ExportImpossible(MlAssetsError):
    """The official client is not installed, or nothing says what to export."""


@click.group()
def command() -> None:
    """Export lineage to other tools."""


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

    from resources.blobs import write_atomically

    lines = (Serde.to_json(event) for event in events)
    if output is None:
        for line in lines:
            click.echo(line)
        return
    text = "".join(f"{line}\n" for line in lines)
    write_atomically(output.resolve(), text.encode())
    click.echo(f"{output}: {text.count(chr(10))} events")


def _events(space: Workspace, reference: str | None) -> "Iterator[RunEvent]":
    from ml_assets.cli.references import resolve
    from resources.openlineage import Exporter, manifests_behind, recorded

    ids = None
    if reference:
        manifest = resolve(space, reference).manifest
        if manifest is None:
            raise ExportImpossible(f"{reference!r} is delivered bytes, which nothing made; give what was made from them")
        ids = manifests_behind(space, manifest)
    exporters: dict[str, Exporter] = {}
    for manifest, entry in recorded(space, ids):
        name = manifest.recipe.product
        if name not in exporters:
            exporters[name] = Exporter(space, product_named(name, space.settings))
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
