"""The options that say where the parts of a home listen."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from ml_assets.services.supervision.parts import Ports

PORT = click.IntRange(1, 65535)


def port_options(function: Callable[..., None]) -> Callable[..., None]:
    """A command that takes `ports`, from options of its own for each."""

    @click.option("--dagster-port", type=PORT, default=Ports.dagster, show_default=True)
    @click.option("--mlflow-port", type=PORT, default=Ports.mlflow, show_default=True)
    @click.option(
        "--health-port", type=PORT, default=Ports.health, show_default=True, help="Port of the page with the state of all parts."
    )
    @click.option(
        "--host",
        default=Ports.host,
        show_default=True,
        help="Address that Dagster, MLflow and that page listen on. They ask for no login: another one than this is for a "
        "network of their own, behind a proxy.",
    )
    @wraps(function)
    def command(dagster_port: int, mlflow_port: int, health_port: int, host: str, **options: Any) -> None:
        function(ports=Ports(dagster_port, mlflow_port, health_port, host), **options)

    return command
