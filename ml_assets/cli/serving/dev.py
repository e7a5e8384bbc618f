"""`ml-assets dev`: all that `ml-assets up` starts, for one person at a terminal."""

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.ports import port_options
from ml_assets.services.supervision.parts import Ports
from ml_assets.spec.product import load_all


@click.command()
@port_options
def command(ports: Ports) -> None:
    """Start Dagster's webserver and daemon, MLflow and the endpoints, until Ctrl-C or SIGTERM.

    The same as `ml-assets up`: a part that ends is started again. An endpoint starts with the first release that serves.
    """
    from ml_assets.services.supervision.up import bring_up

    settings = workspace().settings
    bring_up(settings, load_all(settings.products).values(), ports, only="", tell=click.echo)
