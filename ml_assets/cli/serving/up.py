"""`ml-assets up`: the parts of a home, started and kept alive, or as units for systemd."""

from pathlib import Path

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.ports import port_options
from ml_assets.services.supervision.parts import Ports
from ml_assets.spec.product import load_all


@click.command()
@port_options
@click.option("--only", default="", help="Names of parts, or kinds, such as daemon,endpoint or endpoint:flights.")
@click.option(
    "--systemd",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a unit file for each part, and a target, into this folder; start nothing.",
)
def command(ports: Ports, only: str, folder: Path | None) -> None:
    """Start the parts of the home and keep them alive: daemon, webserver, mlflow, and an endpoint for each product.

    A part that ends is started again, with growing delays, and takes no other down. An endpoint starts with the first release
    that serves. How all parts are is at the health port: a page at /, JSON at /health. Ctrl-C or SIGTERM ends all of them; a
    worker ends when its runs have, or at a second signal.
    """
    from ml_assets.services.supervision.up import bring_up, units

    settings = workspace().settings
    products = load_all(settings.products).values()
    if folder is None:
        bring_up(settings, products, ports, only=only, tell=click.echo)
        return
    for file in units(settings, products, ports, only=only, folder=folder):
        click.echo(file)
