"""`ml-assets serve`: the endpoint of one product in one environment."""

from pathlib import Path

import click

from ml_assets.cli.common import product_named, workspace


@click.command()
@click.argument("product")
@click.option("--environment", "-e", type=click.Choice(["production", "staging"]), default="production", show_default=True)
@click.option("--host", help="Address to listen on; product.yaml's if not given.")
@click.option("--port", type=int, help="Port; product.yaml's if not given, 0 for any free one.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Written with pid and URL once requests are taken.")
def command(product: str, environment: str, host: str | None, port: int | None, ready_file: Path | None) -> None:
    """Serve what answers for PRODUCT: POST /predict, GET /health /ready /release /metrics /openapi.json.

    The release is read from the endpoint's pointer; a promotion or rollback makes the server swap without dropping a request.
    """
    from ml_assets.serving.app import create_app
    from ml_assets.serving.members import BundleFiles
    from ml_assets.serving.prediction_log import PredictionLog
    from ml_assets.serving.server import run
    from resources import pointer

    space = workspace()
    spec = product_named(product, space.settings)

    def open_bundle(digest: str) -> BundleFiles:
        folder = space.snapshots.checkout(digest)
        return BundleFiles(folder, space.snapshots.open(digest).members)

    app = create_app(
        product=product,
        environment=environment,
        pointer=lambda: pointer.read(space.settings.pointer(product, environment)),
        open_bundle=open_bundle,
        log=PredictionLog(space.settings.predictions(product)),
    )
    where = spec.endpoint.port if port is None else port
    if ready_file is None:
        click.echo(f"{product} ({environment}) on http://{host or spec.endpoint.host}:{where}", err=True)
    run(app, host=host or spec.endpoint.host, port=where, ready_file=ready_file)
