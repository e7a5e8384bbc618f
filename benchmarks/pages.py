"""The first pages of Dagster's UI on a home with many partitions, in headless Chromium, until they show what a person looks for.

Wall seconds, since waiting is what a person does, each page opened twice; CPU seconds are those of webserver and code location.
Four assets have a materialization recorded for each partition, as runs would have left them.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import psutil  # type: ignore[import-untyped]
from selenium.webdriver import Chrome

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.spec.product import Product
from resources.dagster_assets import partitions_def
from resources.dagster_instance import prepare_home
from tests.support.browser import browser, eventually, texts, webserver

MATERIALIZED = ("raw", "dataset", "features", "model")
SHOWN = {"raw", "dataset", "features", "model", "evaluation", "release", "staging", "production"}
PATIENCE = 120
TIMES = 2


def opened(space: Workspace, product: Product, keys: Sequence[str]) -> dict[str, list[float]]:
    """The seconds until the product's graph shows its stages, and until the partitions of `features` show the newest key of the
    calendar, which ends today; the CPU seconds of all of it."""
    prepare_home(space.settings)
    environ = space.settings.environ() | {"DAGSTER_HOME": str(space.settings.dagster_home)}
    _materialize(space, product, keys)
    newest = str(partitions_def(product).get_last_partition_key())
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as folder:
        scratch = Path(folder)
        with webserver(environ, scratch / "webserver.log") as url, browser(scratch / "profile") as driver:
            graph = f"{url}/locations/ml_assets/asset-groups/{product.name}/"
            partitions = f"{url}/assets/{product.name}/features?view=partitions"
            before = _cpu()
            seconds = {
                "graph": [_seconds(driver, graph, lambda: texts(driver) >= SHOWN) for _ in range(TIMES)],
                "partitions": [_seconds(driver, partitions, lambda: newest in texts(driver)) for _ in range(TIMES)],
            }
            return seconds | {"cpu": [_cpu() - before]}


def _materialize(space: Workspace, product: Product, keys: Sequence[str]) -> None:
    with dg.DagsterInstance.from_config(str(space.settings.dagster_home)) as instance:
        for key in keys:
            for stage in MATERIALIZED:
                instance.report_runless_asset_event(dg.AssetMaterialization([product.name, stage], partition=key))


def _seconds(driver: Chrome, url: str, is_there: Callable[[], bool]) -> float:
    driver.get("about:blank")
    started = time.monotonic()
    driver.get(url)
    eventually(is_there, what=url, seconds=PATIENCE)
    return time.monotonic() - started


def _cpu() -> float:
    """What the processes of Dagster have spent that this one began, browser and driver aside."""
    alive = [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
    spent = [one.cpu_times() for one in alive if "dagster" in " ".join(one.cmdline())]
    return float(sum(times.user + times.system for times in spent))
