"""Bringing the parts of a home up: ports free, the home made, then supervised until somebody ends them."""

from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from ml_assets.core.notices import Notice
from ml_assets.errors import PassingFault
from ml_assets.services.supervision.part import Part, refuse_taken_ports
from ml_assets.services.supervision.parts import HOST, Ports, environment, is_local, parts_of, selected
from ml_assets.services.supervision.supervised import Tell
from ml_assets.services.supervision.supervisor import supervise
from ml_assets.services.supervision.systemd import write_units
from ml_assets.services.supervision.watch import Watch
from ml_assets.services.supervision.wellbeing import HEARTBEAT_SECONDS, silent, unwell
from ml_assets.spec.product import Product
from resources.dagster_instance import open_instance
from resources.endpoints.moves import Endpoints
from resources.ledger.identity import refuse_another_store
from resources.ledger.ledger import Ledger
from resources.notify.channels import channels
from resources.settings import Settings
from resources.store.snapshots import open_snapshots
from resources.tracking.mlflow_catalogue import Catalogue


def bring_up(settings: Settings, products: Iterable[Product], ports: Ports, *, only: str, tell: Tell) -> None:
    """Run the parts (`only`: those of these names) until Ctrl-C, SIGTERM or SIGHUP. Raises UnknownPart, PortsTaken or PartRuns
    before anything starts."""
    parts = selected(parts_of(settings, products, ports), only)
    health = ports.health_address
    refuse_taken_ports([*((part.name, part.address) for part in parts if part.address), ("health", health)])
    prepare(settings, parts)
    ui = mlflow_ui(settings, ports)
    tell(f"{'home':<20} {settings.home}" + ("" if is_local(settings) else f"\n{'mlflow':<20} {ui}"))
    has_daemon, since = any(part.kind == "daemon" for part in parts), datetime.now(UTC)

    def look(now: datetime) -> list[Notice]:
        may_be_silent = has_daemon and (now - since).total_seconds() > HEARTBEAT_SECONDS
        return [*unwell(settings, now), *(silent(settings, now) if may_be_silent else [])]

    watch = Watch(look, channels(settings), tell)
    supervise(parts, health=health, logs=settings.logs, environ=environment(settings, ui), tell=tell, watch=watch)


def mlflow_ui(settings: Settings, ports: Ports) -> str:
    """The URL at which people find MLflow."""
    return f"http://{HOST}:{ports.mlflow}" if is_local(settings) else settings.mlflow_ui


def prepare(settings: Settings, parts: Sequence[Part]) -> None:
    """Make what several parts would otherwise make at the same time: Dagster's home and storage, MLflow's database, the ledger,
    and the pointer files, which say what the ledger says. Raises AnotherLedger and AnotherStore before any of that."""
    kinds = {part.kind for part in parts}
    with closing(Ledger(settings.ledger, head_checkpoint=settings.ledger_head)) as ledger:
        _refuse_strays(ledger, settings)
        for part in parts:
            if part.kind == "endpoint":
                Endpoints(settings.endpoints, ledger).settle(part.product, "production")
    if kinds & {"daemon", "webserver", "worker"}:
        with open_instance(settings):
            pass
    if "mlflow" in kinds:
        Catalogue(settings.mlflow, settings.mlflow_artifacts).client()


def _refuse_strays(ledger: Ledger, settings: Settings) -> None:
    """Raise AnotherLedger or AnotherStore where a variable leads the home to those of another one."""
    engine, belonging = ledger.engine, ledger.belonging
    assert belonging is not None
    with suppress(PassingFault, OSError):  # the store is away: each run looks again before it writes
        refuse_another_store(belonging, engine, open_snapshots(settings.store, cache=settings.cache).blobs, is_owner=False)


def units(settings: Settings, products: Iterable[Product], ports: Ports, *, only: str, folder: Path) -> list[Path]:
    """Write the units of the parts for systemd, and make the home that they start on. Return the files."""
    parts = selected(parts_of(settings, products, ports), only)
    prepare(settings, parts)
    settings.logs.mkdir(parents=True, exist_ok=True)
    return write_units(folder, settings, parts, environment(settings, mlflow_ui(settings, ports)))
