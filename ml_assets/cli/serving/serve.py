"""`ml-assets serve`: the endpoint of one product in one environment."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace
from ml_assets.cli.shared.person import last_day

if TYPE_CHECKING:
    from ml_assets.cli.shared.workspace import Workspace
    from ml_assets.core.release.identity import By
    from ml_assets.services.replicas.follower import Follower
    from ml_assets.serving.http.admission import Client
    from ml_assets.serving.http.api_keys import ApiKey
    from ml_assets.serving.http.app import App
    from ml_assets.serving.http.operator_routes import RollBack
    from ml_assets.serving.http.peer_workers import Peers
    from ml_assets.serving.release.switch import Endpoint
    from ml_assets.serving.release.trial_process import TrialProcess
    from ml_assets.serving.requests.parser import Limits
    from ml_assets.spec.product import Product


def _print_new_key(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    from ml_assets.serving.http.api_keys import SERVED, new_key

    name, owner, until = [*value.split(":"), "", ""][:3]
    scope = next((scope for scope in SERVED if scope == name), None)
    if scope is None or value.count(":") > 2:
        raise click.BadParameter(f"{value!r} is not SCOPE[:OWNER[:LAST_DAY]] with a scope of {', '.join(SERVED)}")
    key, line = new_key(scope, owner, last_day(until) if until else None)
    click.echo(f"key, shown once:          {key}\nline for ML_ASSETS_KEYS:  {line}")
    context.exit()


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--environment", "-e", type=click.Choice(["production", "staging"]), default="production", show_default=True)
@click.option("--host", help="Address to listen on; product.yaml's if not given.")
@click.option("--port", type=int, help="Port; product.yaml's if not given, 0 for any free one.")
@click.option(
    "--advertise",
    metavar="URL",
    help="Where other machines may ask this server, if not where it listens; its port is added to a URL without one. "
    "ML_ASSETS_ADVERTISE if not given.",
)
@click.option(
    "--workers",
    "--replicas",
    "workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that serve, one for each core to use. They share the port, the libraries' memory and every swap.",
)
@click.option(
    "--ready-file", type=click.Path(path_type=Path), help="A file that is written with pid and URL once requests are accepted."
)
@click.option(
    "--pointer",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Serve the release that this file names, for a trial: no ledger is followed, and nothing is reported.",
)
@click.option(
    "--new-key",
    metavar="SCOPE[:OWNER[:LAST_DAY]]",
    is_eager=True,
    expose_value=False,
    callback=_print_new_key,
    help="Print a new API key and the line that configures it; serve nothing. Scopes: predict, outcomes, admin; the last day, in "
    "UTC, such as 2027-01-31.",
)
def command(
    product: str,
    *,
    environment: str,
    host: str | None,
    port: int | None,
    advertise: str | None,
    workers: int,
    ready_file: Path | None,
    pointer: Path | None,
) -> None:
    """Serve the release of PRODUCT: POST /predict and /outcomes, GET /livez /readyz /version /metrics /openapi.json.

    The server follows the ledger: a promotion, rollback or recall on any machine makes it swap within seconds, without dropping a
    request. While the ledger is away it serves what it has, and says so.
    API keys are required where ML_ASSETS_KEYS holds their hashes, or names a file of them. With ML_ASSETS_COMPILED=false, DuckDB
    and CatBoost compute every row: slower, with the same scores. /version says which engines compute.
    """
    from ml_assets.serving.http.listen_address import ListenAddress
    from ml_assets.serving.http.server import run
    from ml_assets.serving.http.worker_processes import fork_workers
    from ml_assets.serving.release.trial_process import TrialProcess

    space = workspace()
    spec = product_named(product, space.settings)
    place = ListenAddress(host or spec.endpoint.host, spec.endpoint.port if port is None else port, ready_file)
    if ready_file is None:
        click.echo(f"{product} ({environment}) on http://{place.host}:{place.port}", err=True)
    place, peers = fork_workers(workers, place) if workers > 1 else (place, None)
    trial = TrialProcess(is_compiled=space.settings.compiled)  # forks: before anything starts a thread
    app = _app(space, spec, environment, trial=trial, peers=peers, source=pointer or followed(space, product, environment))

    def listening(url: str) -> None:
        app.state.address = _asked_at(advertise or space.settings.advertise, url)

    run(app, place, drain=app.state.endpoint.drain, listening=listening)


def _asked_at(advertised: str, listening: str) -> str:
    """The URL of a server for other machines: the advertised one, or, where it listens on every address, its host's name."""
    import socket
    from urllib.parse import urlsplit

    place = urlsplit(advertised or listening)
    if advertised and (place.scheme not in ("http", "https") or not place.hostname):
        raise click.BadParameter(f"{advertised!r} is not a URL such as http://scorer-2:8810", param_hint="--advertise")
    if place.hostname in ("0.0.0.0", "::"):
        place = place._replace(netloc=f"{socket.gethostname()}:{place.port}")
    if advertised and place.port is None and place.scheme == "http":
        place = place._replace(netloc=f"{place.netloc}:{urlsplit(listening).port}")
    return place.geturl().rstrip("/")


def followed(space: "Workspace", product: str, environment: str) -> "Follower":
    """The follower that brings this home's endpoint in line with the ledger. Raises AnotherLedger and AnotherStore."""
    import socket

    from sqlalchemy.exc import SQLAlchemyError

    from ml_assets.errors import PassingFault
    from ml_assets.services.replicas.follower import Follower
    from resources.ledger.database import LedgerRefused
    from resources.ledger.identity import refuse_another_store

    try:
        belonging, engine = space.ledger.belonging, space.ledger.engine
        assert belonging is not None
        refuse_another_store(belonging, engine, space.snapshots.blobs, is_owner=False)
    except (LedgerRefused, SQLAlchemyError, PassingFault, OSError):  # it is away: the follower says so, and serves what is cached
        pass
    return Follower(
        endpoints=space.endpoints,
        product=product,
        environment=environment,
        history=space.settings.cache / "endpoints" / product / f"{environment}.json",
        journal=space.settings.break_glass(product, environment),
        host=socket.gethostname(),
        is_cached=lambda digest: space.snapshots.checked_out(digest) is not None,
    )


def _app(
    space: "Workspace",
    product: "Product",
    environment: str,
    *,
    trial: "TrialProcess",
    peers: "Peers | None",
    source: "Path | Follower",
) -> "App":
    """`source` names the release that serves: a pointer file, or what follows the ledger."""
    from ml_assets.services.outcomes.posted import Inbox
    from ml_assets.services.replicas.shared_logs import shared_logs
    from ml_assets.serving.http.app import create_app
    from ml_assets.serving.log.writer import PredictionLog
    from ml_assets.serving.requests.parser import Limits

    follower = None if isinstance(source, Path) else source
    logs = shared_logs(space.settings, space.snapshots, space.ledger, product.name) if follower else []

    def refresh() -> None:
        for log in logs:
            log.fetch()

    limits = Limits(unknown_fields=product.endpoint.unknown_fields)
    return create_app(
        endpoint=_endpoint(space, product.name, environment, limits=limits, trial=trial, source=source),
        log=PredictionLog(space.settings.predictions(product.name)),
        shadow_log=PredictionLog(space.settings.shadow_predictions(product.name)) if environment == "production" else None,
        limits=limits,
        keys=configured_keys(space.settings.keys),
        roll_back=permitted(product, follower.roll_back) if follower else None,
        break_glass=permitted(product, follower.break_glass) if follower else None,
        followed=follower,
        ship=lambda: [log.ship() for log in logs],
        take_outcomes=Inbox(product, space.landing, space.settings.predictions(product.name), refresh).take,
        peers=peers,
    )


def _endpoint(
    space: "Workspace", product: str, environment: str, *, limits: "Limits", trial: "TrialProcess", source: "Path | Follower"
) -> "Endpoint":
    from ml_assets.serving.release.bundle_files import BundleFiles
    from ml_assets.serving.release.switch import Endpoint
    from resources.endpoints import pointer

    def open_bundle(digest: str) -> BundleFiles:
        snapshot = space.snapshots.checked_out(digest) or space.snapshots.open(digest)
        return BundleFiles(space.snapshots.checkout(digest), snapshot.members)

    return Endpoint(
        product=product,
        environment=environment,
        pointer=partial(pointer.read, source) if isinstance(source, Path) else source.pointer,
        open_bundle=open_bundle,
        limits=limits,
        earlier=tuple if isinstance(source, Path) else source.earlier,
        trial=trial,
        is_compiled=space.settings.compiled,
    )


def permitted(product: "Product", move: "Callable[[str | None, By, str], object]") -> "RollBack":
    """The rollback for a client of the server whom the product lets do so. It raises NotPermitted for others."""
    from ml_assets.core.release.identity import not_permitted
    from ml_assets.services.people.permission import NotPermitted

    def roll_back(to: str | None, client: "Client", reason: str) -> object:
        by: By = (client.identity or client.name) if product.people else f"{client.name} over HTTP"
        if why := not_permitted(product, "rollback", by):
            raise NotPermitted(why)
        return move(to, by, reason)

    return roll_back


def configured_keys(setting: str) -> "tuple[ApiKey, ...]":
    """The keys of ML_ASSETS_KEYS: their lines, or the file of them that it names."""
    from ml_assets.serving.http.api_keys import KeysRefused, parse_keys

    if not setting or setting.startswith(("predict:", "outcomes:", "admin:")):
        return parse_keys(setting)
    try:
        keys = parse_keys(Path(setting).read_text())
    except OSError as error:
        raise KeysRefused(
            f"the file of ML_ASSETS_KEYS cannot be read: {error.strerror}; it holds the lines that `ml-assets serve --new-key "
            "predict` prints"
        ) from error
    if not keys:
        raise KeysRefused("the file of ML_ASSETS_KEYS holds no key: without one, anyone could send requests")
    return keys
