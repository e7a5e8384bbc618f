"""Helpers that several commands share: the product, the workspace, and jobs that run in this process."""

import atexit
import gc
import logging
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.errors import MlAssetsError
from ml_assets.spec.product import Product, ProductError, load_each
from ml_assets.spec.yaml_file import nearest
from resources.settings import Settings, settings

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry, ExecuteInProcessResult

    from ml_assets.services.automation.run_outcomes import Outcome

Listener = Callable[[Any], None]
GC_THRESHOLDS = (20_000, 50, 1000)
"""For several runs in one process: a collection that looks at everything takes 0.4 s once the libraries are loaded, and Python's
default starts two in each run. `several_runs` collects what a run left instead."""
_kept: "list[tuple[ExitStack, dict[Settings, DagsterInstance]]]" = []
"""Within `several_runs`, the Dagster instances that its runs share: opening the storage again costs 0.2 s of each run."""


class UnknownProduct(MlAssetsError):
    """No product folder has this name."""


def workspace() -> Workspace:
    """The workspace of the current settings."""
    return Workspace(settings())


def product_named(name: str, current: Settings) -> Product:
    """The product, or an error that lists those there are. What is wrong with other products is left to them."""
    products, problems = load_each(current.products)
    if name not in products and problems:
        raise ProductError(*problems)
    if name not in products:
        raise UnknownProduct(
            f"there is no product {name!r}; {nearest(name, products)}there are: {', '.join(sorted(products)) or 'none'}"
        )
    return products[name]


def checked_product(name: str, current: Settings) -> Product:
    """The product, if its whole declaration can run. Raises ProductError with everything that keeps it from running."""
    from ml_assets.services.runnable_products import checked

    return checked(product_named(name, current), current.cache)


def partition_named(space: Workspace, product: Product, key: str | None) -> str:
    """The partition of this key, which the product's calendar has; the newest one if none is named. Raises PartitionKeyError."""
    from ml_assets.core.lineage.partitions import partitions_of, utc_now

    return partitions_of(product).require_finished(key, utc_now()) if key else _newest_partition(space, product)


def _newest_partition(space: Workspace, product: Product) -> str:
    from ml_assets.services.stale_path import newest_partition

    newest = newest_partition(space.landing, space.ledger, product)
    if newest is None:
        raise click.ClickException(nothing_delivered(space, product))
    return newest


def nothing_delivered(space: Workspace, product: Product) -> str:
    """The message about a product without any partition, with the next command."""
    table = next(iter(product.delivery.tables))
    command = f"`ml-assets deliver {product.name} {table} FILE --partition KEY`"
    return f"{product.name}: nothing is delivered to {space.landing.place(product)}; {command} delivers a partition"


@contextmanager
def several_runs() -> Iterator[Callable[[], None]]:
    """For runs one after another in this process, which share a staging server and the Dagster instance.

    What is yielded is called after each of them: it collects the run's garbage, and has later collections leave aside what is
    still used, mostly libraries.
    """
    from checks.staging_server import kept_servers

    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    atexit.register(gc.unfreeze)  # otherwise DuckDB reports the rest as a leak at exit

    def tidy() -> None:
        gc.collect()
        gc.freeze()

    try:
        with kept_servers(), ExitStack() as stack:
            _kept.append((stack, {}))
            stack.callback(_kept.pop)
            yield tidy
    finally:
        gc.set_threshold(*before)


@contextmanager
def _dagster_instance(current: Settings) -> "Iterator[DagsterInstance]":
    """The project's Dagster instance: closed at the end, or kept for the next run of `several_runs`."""
    from resources.dagster_instance import open_instance

    if not _kept:
        with open_instance(current) as instance:
            yield instance
        return
    stack, instances = _kept[-1]
    if current not in instances:
        instances[current] = stack.enter_context(open_instance(current))
    yield instances[current]


def run_job(
    space: Workspace,
    product: Product,
    job: str,
    *,
    tags: Mapping[str, str],
    listener: Listener | None = None,
    without: Collection[str] = (),
) -> "ExecuteInProcessResult":
    """Run a job of the product in this process, on the project's Dagster instance, as a launched run would; `without` some of its
    assets."""
    from ml_assets.definitions import build_defs
    from ml_assets.services.automation.attempts import settle
    from ml_assets.services.people.keys import asked_by
    from resources.dagster_assets import asset_key, make_known
    from resources.dagster_events import written_lightly
    from resources.dagster_resources import resources_of

    # A step that was skipped gives no check results, and what hangs on it is skipped too: nothing to warn of.
    logging.getLogger("dagster._core.execution.plan.active").setLevel(logging.ERROR)
    run_id = str(uuid.uuid4())
    tags = {**tags, **asked_by(space.settings, run_id)}
    with _dagster_instance(space.settings) as instance, written_lightly(instance):
        instance.add_event_listener(run_id, _shown_once(space, instance))
        if listener is not None:
            instance.add_event_listener(run_id, listener)
        definition = build_defs({product.name: product}, resources_of(space.settings)).resolve_job_def(f"{product.name}_{job}")
        partition = tags.get("dagster/partition") if job == "path" else None
        make_known(instance, product, [partition] if partition else [])
        if without:
            graph, left_out = definition.asset_layer, {asset_key(product, stage) for stage in without}
            # The job's own checks: a selection of assets alone would add those that the job leaves out.
            definition = definition.get_subset(
                asset_selection=graph.selected_asset_keys - left_out, asset_check_selection=graph.asset_graph.asset_check_keys
            )
        result = definition.execute_in_process(
            instance=instance,
            run_id=run_id,
            partition_key=partition,
            tags={k: v for k, v in tags.items() if not (partition and k == "dagster/partition")},
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        if job == "path":
            settle(space.lineage, instance, product)
    return result


def _shown_once(space: Workspace, instance: "DagsterInstance") -> Listener:
    """Hears of a run's first event, when Dagster has recorded it."""
    from resources.dagster_instance import show_under_job

    shown: list[str] = []

    def listener(entry: "EventLogEntry") -> None:
        if not shown:
            shown.append(entry.run_id)
            show_under_job(space.settings, instance, entry.run_id)

    return listener


def run_outcome(space: Workspace, run: str) -> "Outcome":
    """The outcome of a run of the path that has ended."""
    from ml_assets.services.automation.run_outcomes import outcome_of

    with _dagster_instance(space.settings) as instance:
        record = instance.get_run_by_id(run)
        assert record is not None
        return outcome_of(instance, record)
