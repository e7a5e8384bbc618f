"""What only informs, made in a process of its own: while it draws the pictures of one partition, the next one is decided."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from ml_assets.cli.common import product_named, run_job, workspace
from ml_assets.cli.progress import Progress
from ml_assets.product import Product


@dataclass(frozen=True)
class Told:
    """What became of one partition: each leaf "made" or "reused", and what went wrong."""

    partition: str
    stages: dict[str, str]
    failures: list[str]


class Leaves:
    """One process that makes the leaves of one partition after another, in the order in which they are asked for."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._asked: list[Future[Told]] = []
        # spawned, not forked: by now this process has the threads of DuckDB, polars and Dagster
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_pin)

    def __enter__(self) -> "Leaves":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def ask(self, partition: str) -> None:
        """Make the leaves of this partition, whose evaluation is recorded."""
        self._asked.append(self._pool.submit(_make, self._product.name, partition))

    def told(self) -> Iterator[Told]:
        """Wait for each, in order."""
        for each in self._asked:
            yield each.result()
        self._asked.clear()


def _pin() -> None:
    from resources.environment import pin
    from resources.settings import settings

    pin(settings().home)


def _make(name: str, partition: str) -> Told:
    space = workspace()
    product = product_named(name, space.settings)
    progress = Progress("", partition=partition, quiet=True)
    result = run_job(space, product, "path", tags={"dagster/partition": partition}, listener=progress, part="leaves")
    unexplained = [] if result.success or progress.failures else [f"run {result.run_id} failed"]
    return Told(partition, progress.stages, [*progress.failures, *unexplained])
