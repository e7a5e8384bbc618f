"""What looking costs as a deployment grows, by products and partitions: `plan`, `status`, a tick of each sensor, `verify`, and
the first pages of Dagster's UI.

The homes are the plan's: manifests, evidence, looks and moves as the project writes them, of a few bytes each. Commands are
processes of their own; ticks are CPU seconds of this one. The first `verify --new` reads every byte and entry; the second one
has nothing to read. No verdict is judged again: there are no scores.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import pages, ticks
from benchmarks.child import spend
from benchmarks.homes import many_partitions
from benchmarks.tables import spread, table
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.spec.product import Product, load_all
from sensors import notices

SIZES = ((1, 100), (1, 1_000), (1, 10_000), (20, 100), (20, 1_000))
"""Products and partitions of each."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """Fill a home of each size, and look at it, once: growth is told from other sizes, not from runs."""
    return {"sizes": [_measured(products, partitions) for products, partitions in SIZES]}


def text(measured: Mapping[str, Any]) -> str:
    """The table: a line for each size, CPU seconds."""
    head, *_ = measured["sizes"]
    names = list(head["cpu"])
    rows = [
        [f"{size['products']} × {size['partitions']:,}", *(f"{size['cpu'][name]:.2f}" for name in names)]
        for size in measured["sizes"]
    ]
    shown = [
        [f"{size['products']} × {size['partitions']:,}", *(spread(size["pages"][page], digits=1) for page in size["pages"])]
        for size in measured["sizes"]
    ]
    pages_of = table(["Dagster's first pages", "graph, s", "partitions, s", "CPU s"], shown)
    return "\n\n".join([table(["products × partitions, CPU s", *names], rows), pages_of])


def _measured(products: int, partitions: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as folder:
        first, *others = _products(Path(folder) / "products", products)
        space = many_partitions.space_of(Path(folder) / "home", first)
        for product in others:
            many_partitions.fill(space, product, partitions)
        new = ticks.filled(space, first, partitions)
        cpu = _cpu(space, first, new)
        keys = partitions_of(first).keys(many_partitions.START, new)[:-1]
        opened = pages.opened(space, first, keys)
        space.ledger.close()
    return {"products": products, "partitions": partitions, "cpu": cpu, "pages": opened}


def _products(folder: Path, count: int) -> list[Product]:
    names = [many_partitions.NAME, *(f"line{number:02}" for number in range(2, count + 1))]
    return [many_partitions.by_day(folder, name) for name in names]


def _cpu(space: Workspace, product: Product, new: str) -> dict[str, float]:
    """CPU seconds by what was done; ticks are those after a first one."""
    cpu = {
        "first plan": _command(space, "plan", "--json", code=2),
        "plan": _command(space, "plan", "--json", code=2),
        "status of one": _command(space, "status", product.name, "--json"),
    }
    sensors = ticks.sensors_of(product) | {"notices": notices.build({product.name: product})}
    cursors, seconds = dict[str, str](), dict[str, float]()
    for _ in range(2):
        for name, sensor in sensors.items():
            seconds[name] = ticks.spent(space, sensor, cursors, launches=new if name == "new_data" else "")
    cpu |= {"ticks of one": sum(seconds.values()), "slowest tick": max(seconds.values())}
    for name in load_all(space.settings.products):
        for environment in ("staging", "production"):
            space.endpoints.settle(name, environment)
    space.ledger.close()
    return cpu | {"verify": _command(space, "verify", "--new"), "verify --new": _command(space, "verify", "--new")}


def _command(space: Workspace, *args: str, code: int = 0) -> float:
    return spend([sys.executable, "-m", "ml_assets", *args], environ=space.settings.environ(), code=code).cpu
