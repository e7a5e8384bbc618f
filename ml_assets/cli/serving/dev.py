"""`ml-assets dev`: Dagster's webserver and daemon, the MLflow UI and the production endpoints, started and stopped together.

Belongs here: which processes, and where they listen. Does not: keeping them alive (cli/shared/process_group.py).
"""

import os
import sys

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.process_group import Service, refuse_taken_ports, run_together
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.spec.product import Product, load_all
from resources.dagster_instance import prepare_home, workspace_file
from resources.settings import Settings

HOST = "127.0.0.1"
PORT = click.IntRange(1, 65535)


@click.command()
@click.option("--dagster-port", type=PORT, default=3000, show_default=True)
@click.option("--mlflow-port", type=PORT, default=5000, show_default=True)
def command(dagster_port: int, mlflow_port: int) -> None:
    """Start everything on the project's home and stop it together on Ctrl-C, SIGTERM, or when one part ends.

    A product's endpoint starts with the first release that serves.
    """
    space = workspace()
    current = space.settings
    products = load_all(current.products)
    local_mlflow = current.mlflow.split(":", 1)[0] not in ("http", "https")
    services = [_dagster(current, dagster_port), *([_mlflow(current, mlflow_port)] if local_mlflow else [])]
    services += [_endpoint(space, product) for product in products.values()]
    refuse_taken_ports(services)
    prepare_home(current)
    space.tracking.client()
    ui = f"http://{HOST}:{mlflow_port}" if local_mlflow else current.mlflow
    click.echo(f"home                 {current.home}" + ("" if local_mlflow else f"\nmlflow               {ui}"))
    run_together(services, logs=current.home / "logs", environ=_environ(current, ui))


def _dagster(current: Settings, port: int) -> Service:
    argv = ("-m", "dagster", "dev", "-w", str(workspace_file(current)), "--host", HOST, "--port", str(port))
    return Service("dagster", (sys.executable, *argv), HOST, port, ready="/server_info", option="--dagster-port")


def _mlflow(current: Settings, port: int) -> Service:
    artifacts = current.mlflow_artifacts.as_uri()
    argv = ("-m", "mlflow", "server", "--backend-store-uri", current.mlflow, "--default-artifact-root", artifacts)
    where = ("--no-serve-artifacts", "--host", HOST, "--port", str(port), "--workers", "1")
    return Service("mlflow", (sys.executable, *argv, *where), HOST, port, ready="/health", option="--mlflow-port")


def _endpoint(space: Workspace, product: Product) -> Service:
    """The pointer file, which the server needs, exists once a release serves."""
    space.endpoints.settle(product.name, "production")
    argv = (sys.executable, "-m", "ml_assets", "serve", product.name)
    spec = product.endpoint
    return Service(
        f"endpoint {product.name}",
        argv,
        spec.host,
        spec.port,
        ready="/version",
        option=f"endpoint.port of {product.folder / 'product.yaml'}",
        needs=space.settings.pointer(product.name, "production"),
    )


def _environ(current: Settings, mlflow_ui: str) -> dict[str, str]:
    """The environment of this process with the settings spelled out, so that every part has the same ones."""
    folders = os.pathsep.join(map(str, current.products))
    values = {"HOME": current.home, "LANDING": current.landing, "STORE": current.store, "LEDGER": current.ledger}
    values |= {"MLFLOW": current.mlflow, "MLFLOW_UI": mlflow_ui, "PRODUCTS": folders}
    spelled = {f"ML_ASSETS_{name}": str(value) for name, value in values.items()}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return {**quiet, **inherited, "DAGSTER_HOME": str(current.dagster_home), **spelled}
