"""`ml-assets serve`: the endpoint of one product in one environment."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, workspace

if TYPE_CHECKING:
    from ml_assets.cli.shared.workspace import Workspace
    from ml_assets.serving.http.api_keys import ApiKey, Scope
    from ml_assets.serving.http.app import App
    from ml_assets.serving.http.peer_workers import Peers
    from ml_assets.serving.release.trial_process import Trial
    from ml_assets.spec.product import Product
    from resources.endpoints.pointer import Pointer


def _print_new_key(context: click.Context, option: click.Parameter, scope: "Scope | None") -> None:
    if scope is None:
        return
    from ml_assets.serving.http.api_keys import new_key

    key, line = new_key(scope)
    click.echo(f"key, shown once:          {key}\nline for ML_ASSETS_KEYS:  {line}")
    context.exit()


@click.command()
@click.argument("product", type=PRODUCT)
@click.option("--environment", "-e", type=click.Choice(["production", "staging"]), default="production", show_default=True)
@click.option("--host", help="Address to listen on; product.yaml's if not given.")
@click.option("--port", type=int, help="Port; product.yaml's if not given, 0 for any free one.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that serve, one for each core to use. They share the port, the libraries' memory and every swap.",
)
@click.option(
    "--ready-file", type=click.Path(path_type=Path), help="A file that is written with pid and URL once requests are accepted."
)
@click.option(
    "--new-key",
    type=click.Choice(["predict", "outcomes", "admin"]),
    is_eager=True,
    expose_value=False,
    callback=_print_new_key,
    help="Print a new API key and the line that configures it; serve nothing.",
)
def command(product: str, *, environment: str, host: str | None, port: int | None, workers: int, ready_file: Path | None) -> None:
    """Serve the release of PRODUCT: POST /predict and /outcomes, GET /livez /readyz /version /metrics /openapi.json.

    The release is read from the endpoint's pointer; a promotion or rollback makes the server swap without dropping a request.
    API keys are required where ML_ASSETS_KEYS holds their hashes, or names a file of them. With ML_ASSETS_COMPILED=false, DuckDB
    and CatBoost compute every row: slower, with the same scores. /version says which engines compute.
    """
    from ml_assets.serving.http.listen_address import Place
    from ml_assets.serving.http.server import run
    from ml_assets.serving.http.worker_processes import fork_workers
    from ml_assets.serving.release.trial_process import Trial

    space = workspace()
    spec = product_named(product, space.settings)
    place = Place(host or spec.endpoint.host, spec.endpoint.port if port is None else port, ready_file)
    if ready_file is None:
        click.echo(f"{product} ({environment}) on http://{place.host}:{place.port}", err=True)
    place, peers = fork_workers(workers, place) if workers > 1 else (place, None)
    trial = Trial(is_compiled=space.settings.compiled)  # forks: before anything starts a thread
    app = _app(space, spec, environment, trial=trial, peers=peers)
    run(app, place, drain=app.state.endpoint.drain)


def _app(space: "Workspace", product: "Product", environment: str, *, trial: "Trial", peers: "Peers | None") -> "App":
    from ml_assets.services.outcomes.posted import Inbox
    from ml_assets.serving.http.app import create_app
    from ml_assets.serving.log.writer import PredictionLog
    from ml_assets.serving.release.bundle_files import BundleFiles
    from ml_assets.serving.release.switch import Endpoint
    from ml_assets.serving.requests.parser import Limits
    from resources.endpoints import pointer

    def open_bundle(digest: str) -> BundleFiles:
        folder = space.snapshots.checkout(digest)
        return BundleFiles(folder, space.snapshots.open(digest).members)

    def roll_back(to: str | None, by: str, reason: str) -> None:
        space.endpoints.rollback(product.name, to=to, by=by, reason=reason, environment=environment)

    limits = Limits(unknown_fields=product.endpoint.unknown_fields)
    endpoint = Endpoint(
        product=product.name,
        environment=environment,
        pointer=lambda: pointer.read(space.settings.pointer(product.name, environment)),
        open_bundle=open_bundle,
        limits=limits,
        earlier=lambda: earlier(space, product.name, environment),
        trial=trial,
        is_compiled=space.settings.compiled,
    )
    return create_app(
        endpoint=endpoint,
        log=PredictionLog(space.settings.predictions(product.name)),
        shadow_log=PredictionLog(space.settings.shadow_predictions(product.name)) if environment == "production" else None,
        limits=limits,
        keys=configured_keys(space.settings.keys),
        roll_back=roll_back,
        take_outcomes=Inbox(product, space.landing, space.settings.predictions(product.name)).take,
        peers=peers,
    )


def configured_keys(setting: str) -> "tuple[ApiKey, ...]":
    """The keys of ML_ASSETS_KEYS: their lines, or the file of them that it names."""
    from ml_assets.serving.http.api_keys import KeysRefused, parse_keys

    if not setting or setting.startswith(("predict:", "outcomes:", "admin:")):
        return parse_keys(setting)
    try:
        keys = parse_keys(Path(setting).read_text())
    except OSError as error:
        raise KeysRefused(f"the file of ML_ASSETS_KEYS cannot be read: {error.strerror}") from error
    if not keys:
        raise KeysRefused("the file of ML_ASSETS_KEYS holds no key: without one, anyone could send requests")
    return keys


def earlier(space: "Workspace", product: str, environment: str) -> "list[Pointer]":
    """The releases that a rollback would go back through, newest first.

    A server that starts while the current release is damaged serves the first of them that is intact.
    """
    from ml_assets.core.release.promotion import stack
    from resources.endpoints.moves import as_pointer, moves_of, recalled_bundles

    entries = space.ledger.moves(product, environment)
    recalled = recalled_bundles(space.ledger, product, environment)
    pointers = {entry.body.bundle: as_pointer(entry) for entry in entries}
    moves = stack(moves_of(space.ledger, product, environment))[:-1]
    return [pointers[move.bundle] for move in reversed(moves) if move.bundle not in recalled]
