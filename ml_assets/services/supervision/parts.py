"""The parts of one home: Dagster's daemon and webserver, a worker where runs go to workers, MLflow where it is local, and each
product's production endpoint."""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from sqlalchemy.exc import SQLAlchemyError

from ml_assets.errors import MlAssetsError
from ml_assets.services.supervision.part import PROBE_SECONDS, Address, Part, responds
from ml_assets.services.supervision.wellbeing import HEARTBEAT_SECONDS, silent_daemons
from ml_assets.spec.product import Product
from resources import workers
from resources.dagster_instance import CONFIG, DagsterStorageAway, open_instance, workspace_file
from resources.settings import Settings

HOST = "127.0.0.1"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class UnknownPart(MlAssetsError):
    """A home has no such part."""


@dataclass(frozen=True)
class Ports:
    """The ports of the parts, apart from endpoints, whose ports are in product.yaml; the address that they listen on."""

    dagster: int = 3000
    mlflow: int = 5000
    health: int = 3001
    host: str = HOST

    @property
    def health_address(self) -> Address:
        """The address of the health page."""
        return Address(self.host, self.health, "--health-port")


def parts_of(settings: Settings, products: Iterable[Product], ports: Ports) -> list[Part]:
    """Every part of the home."""
    workspace = ("-w", str(workspace_file(settings)))
    web, mlflow = Address(ports.host, ports.dagster, "--dagster-port"), Address(ports.host, ports.mlflow, "--mlflow-port")
    webserver = (sys.executable, "-m", "dagster_webserver", *workspace, "--host", ports.host, "--port", str(ports.dagster))
    daemon = (sys.executable, "-m", "dagster._daemon", "run", *workspace)
    return [
        Part("daemon", daemon, _beats(settings), outlived=True),
        Part("webserver", webserver, responds(f"{web.url}/server_info"), web, environ=_peers_only(settings)),
        *([_worker(settings)] if settings.celery else []),
        *([_mlflow(settings, mlflow)] if is_local(settings) else []),
        *(_endpoint(settings, product) for product in products),
    ]


def selected(parts: Sequence[Part], names: str) -> list[Part]:
    """The parts of these names or kinds (`daemon,endpoint:flights`); all of them where none is named. Raises UnknownPart."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = {name for part in parts for name in (part.name, part.kind)}
    if unknown := [name for name in wanted if name not in known]:
        raise UnknownPart(f"--only: there is no part {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    return [part for part in parts if not wanted or part.name in wanted or part.kind in wanted]


def is_local(settings: Settings) -> bool:
    """Whether MLflow is a database of this home, which a part shows, and no server of its own."""
    return settings.mlflow.split(":", 1)[0] not in ("http", "https")


def environment(settings: Settings, mlflow_ui: str) -> dict[str, str]:
    """The environment of this process with the settings spelled out, so that every part has the same ones."""
    folders = os.pathsep.join(map(str, settings.products))
    values = {
        "HOME": settings.home,
        "LANDING": settings.landing_url or settings.landing,
        "STORE": settings.store,
        "LEDGER": settings.ledger,
    }
    values |= {"MLFLOW": settings.mlflow, "MLFLOW_UI": mlflow_ui, "PRODUCTS": folders}
    values |= {"DAGSTER": settings.dagster_storage} if settings.dagster else {}
    values |= {"CELERY": settings.celery} if settings.celery else {}
    spelled = {f"ML_ASSETS_{name}": str(value) for name, value in values.items()}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**QUIET, **inherited, "DAGSTER_HOME": str(settings.dagster_home), **spelled}


def _peers_only(settings: Settings) -> dict[str, str]:
    """With a proxy whose logins count, uvicorn must say where a request came from itself, not where the proxy had it from."""
    return {"FORWARDED_ALLOW_IPS": ""} if settings.proxy_secret else {}


def _worker(settings: Settings) -> Part:
    """It takes runs from the broker, as many at once as there may be, and ends when those under way have ended."""
    name = f"ml-assets-{sha256(str(settings.home).encode()).hexdigest()[:8]}@{socket.gethostname()}"
    at_once = CONFIG["concurrency"]["runs"]["max_concurrent_runs"]
    argv = (sys.executable, "-m", "celery", "--app", f"{workers.__name__}.app", "worker", "--hostname", name)
    options = ("--concurrency", str(at_once), "--without-gossip", "--without-mingle", "--loglevel", "WARNING")

    def works(since: float) -> bool:
        from kombu.exceptions import KombuError

        from resources.workers.app import is_well

        try:
            return is_well(name, seconds=PROBE_SECONDS)
        except (OSError, KombuError):  # the broker is away
            return False

    return Part("worker", (*argv, *options), works, finishes=True)


def _mlflow(settings: Settings, address: Address) -> Part:
    """The URL of its database may hold a password: it is not an argument, which everybody can list."""
    argv = (sys.executable, "-m", "mlflow", "server", "--default-artifact-root", settings.mlflow_artifacts.as_uri())
    where = ("--no-serve-artifacts", "--host", address.host, "--port", str(address.port), "--workers", "1")
    environ = {"MLFLOW_BACKEND_STORE_URI": settings.mlflow, **QUIET}
    return Part("mlflow", (*argv, *where), responds(f"{address.url}/health"), address, environ=environ)


def _endpoint(settings: Settings, product: Product) -> Part:
    """It starts with the first release that serves. Where other machines may promote it, the server starts at once and waits for
    that itself: no pointer file is written here before."""
    spec, argv = product.endpoint, (sys.executable, "-m", "ml_assets", "serve", product.name)
    address = Address(spec.host, spec.port, f"endpoint.port of {product.folder / 'product.yaml'}")
    pointer = settings.pointer(product.name, "production")
    is_alone = settings.ledger == f"sqlite:///{settings.home / 'ledger.db'}"
    works = responds(f"{address.url}/{'version' if is_alone else 'livez'}")
    return Part(f"endpoint:{product.name}", argv, works, address, needs=pointer if is_alone else None)


def _beats(settings: Settings) -> Callable[[float], bool]:
    """Whether each part of the daemon has shown a sign of life, lately and since the daemon's start."""
    from dagster import DagsterError

    opened = cache(lambda: open_instance(settings))

    def works(since: float) -> bool:
        try:
            return not silent_daemons(opened(), max(since, time.time() - HEARTBEAT_SECONDS))
        except (DagsterError, SQLAlchemyError, DagsterStorageAway):  # the storage is away, which `silent` tells
            return False

    return works
