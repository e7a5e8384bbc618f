"""`ml-assets dev`: Dagster's webserver and daemon, the MLflow UI and the production endpoints, started and stopped together."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from ml_assets.cli.common import workspace
from ml_assets.product import load_all
from resources.instance import prepare_home
from resources.settings import ROOT, Settings

STOP_SECONDS = 15


@dataclass(frozen=True)
class Service:
    """One process of the development set-up."""

    name: str
    argv: tuple[str, ...]
    url: str


@click.command()
@click.option("--dagster-port", default=3000, show_default=True)
@click.option("--mlflow-port", default=5000, show_default=True)
def command(dagster_port: int, mlflow_port: int) -> None:
    """Start everything on the project's home and stop it together on Ctrl-C, SIGTERM, or when one part ends."""
    space = workspace()
    current = space.settings
    prepare_home(current)
    os.environ["ML_ASSETS_HOME"] = str(current.home)
    space.catalogue.client()
    services = _services(current, dagster_port, mlflow_port)
    for product in load_all(current.products):
        if space.endpoints.settle(product, "production") is None:
            services = [s for s in services if s.name != f"endpoint {product}"]
            click.echo(f"{product}: no release answers yet, so its endpoint is not started; `make demo` makes one")
    _run(services, logs=current.home / "logs")


def _services(current: Settings, dagster_port: int, mlflow_port: int) -> list[Service]:
    python = sys.executable
    dagster = (python, "-m", "dagster", "dev", "-w", str(ROOT / "workspace.yaml"), "--port", str(dagster_port))
    mlflow = (python, "-m", "mlflow", "ui", "--port", str(mlflow_port), "--backend-store-uri", current.mlflow)
    services = [
        Service("dagster", (*dagster, "--host", "127.0.0.1"), f"http://127.0.0.1:{dagster_port}"),
        Service("mlflow", (*mlflow, "--host", "127.0.0.1", "--workers", "1"), f"http://127.0.0.1:{mlflow_port}"),
    ]
    for product in load_all(current.products).values():
        url = f"http://{product.endpoint.host}:{product.endpoint.port}"
        services.append(Service(f"endpoint {product.name}", (python, "-m", "ml_assets", "serve", product.name), url))
    return services


def _run(services: list[Service], *, logs: Path) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for service in services:
            with (logs / f"{service.name.replace(' ', '-')}.log").open("ab") as log:
                running[service.name] = subprocess.Popen(service.argv, stdout=log, stderr=log, start_new_session=True)
            click.echo(f"{service.name:<20} {service.url}")
        click.echo(f"logs: {logs}\nCtrl-C stops all of them.")
        ended = _wait(running)
        raise click.ClickException(f"{ended} ended; its log: {logs / (ended.replace(' ', '-') + '.log')}")
    except KeyboardInterrupt:
        click.echo("stopping")
    finally:
        _stop(running)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def _wait(running: dict[str, subprocess.Popen[bytes]]) -> str:
    """Wait until one of the processes ends; its name."""
    while True:
        for name, process in running.items():
            if process.poll() is not None:
                return name
        time.sleep(0.5)


def _stop(running: dict[str, subprocess.Popen[bytes]]) -> None:
    for process in running.values():
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    until = time.monotonic() + STOP_SECONDS
    for process in running.values():
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
