"""A tick of each sensor with 10,000 known partitions and a new one, in CPU seconds of this process: Dagster asks again and again.

The home is the plan's, with an attempt for each partition, as the sensor of deliveries records them. What a first tick reads once
(the digests of delivered files) is measured by itself, and what it imports not at all. The sensor of notices is not measured: the
home has no verdicts, which it reads.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg

from benchmarks.homes import many_partitions
from benchmarks.homes.bulk import Bulk
from benchmarks.tables import spread, table
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.attempts import AttemptRecord
from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.definitions import SENSORS
from ml_assets.services.automation.attempts import Landed, code_digest, content_digest
from ml_assets.spec.product import Product
from resources.dagster_resources import resources_of
from sensors import stale

PARTITIONS = 10_000
MOST_SECONDS = 0.2


class NotLaunched(Exception):
    """The sensor of deliveries did not launch the new partition, and it alone."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """Fill a home, deliver one partition more, and let each sensor tick."""
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as folder:
        product = many_partitions.by_day(Path(folder) / "products")
        space = many_partitions.space_of(Path(folder) / "home", product)
        new = filled(space, product, PARTITIONS)
        first = spent(space, sensors_of(product)["new_data"], {}, launches=new)
        cursors: dict[str, str] = {}
        ticks = {
            name: [spent(space, sensor, cursors, launches=new if name == "new_data" else "") for _ in range(runs + 1)][1:]
            for name, sensor in sensors_of(product).items()
        }
        space.ledger.close()
    return {"partitions": PARTITIONS, "first": first, "ticks": ticks, "ratio": _slowest(ticks) / MOST_SECONDS}


def text(measured: Mapping[str, Any]) -> str:
    """The table."""
    rows = [[name, spread(seconds)] for name, seconds in measured["ticks"].items()]
    rows.append(["new_data, the first time", spread([measured["first"]])])
    title = f"a tick, {measured['partitions']:,} partitions and a new one"
    return f"{table([title, 'CPU s'], rows)}\n\nslowest / {MOST_SECONDS} s: CPU {measured['ratio']:.2f}, at most 1"


def filled(space: Workspace, product: Product, partitions: int) -> str:
    """Make so many partitions, each with an attempt that made it current, and deliver one more; the new one."""
    many_partitions.fill(space, product, partitions)
    calendar, landed = partitions_of(product), Landed(space.landing, product, space.settings.cache)
    about = {"product": product.name, "reference": content_digest(landed.reference), "code": code_digest(product), "run": "r"}
    entries = space.ledger.entries()
    bulk = Bulk(space.ledger, seq=entries[-1].seq, previous=entries[-1].hash)
    for key in calendar.keys(many_partitions.START, calendar.shift(many_partitions.START, partitions - 1)):
        begun: Any = {**about, "partition": key, "content": landed.content(key), "number": 1, "tries": 1}
        bulk.attempt(AttemptRecord(**begun))
        bulk.attempt(AttemptRecord(**begun, end="current", outcome="promoted", reason="ACCEPT; promoted"))
    bulk.flush()
    new = calendar.shift(many_partitions.START, partitions)
    for name in product.delivery.tables:
        space.landing.put(product, name, new, f"{name} {new}\n".encode())
    space.ledger.close()
    time.sleep(product.landing.settle)
    return new


def spent(space: Workspace, sensor: dg.SensorDefinition, cursors: dict[str, str], *, launches: str) -> float:
    """The CPU seconds of a tick, which takes the cursor that the sensor's last one left. Raises NotLaunched where it launches
    something else."""
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(
            instance=instance, resources=resources_of(space.settings), cursor=cursors.get(sensor.name)
        ) as context,
    ):
        context.resources  # noqa: B018  opened before the clock runs: a daemon's process keeps what they import
        started = time.process_time()
        result: Any = sensor(context)
        seconds = time.process_time() - started
        cursors[sensor.name] = context.cursor or ""
    requested = [request.partition_key for request in getattr(result, "run_requests", None) or []]
    if requested != ([launches] if launches else []):
        raise NotLaunched(f"{sensor.name} launches {requested}, not {launches or 'nothing'}: {result}")
    return seconds


def sensors_of(product: Product) -> dict[str, dg.SensorDefinition]:
    """The product's sensors by name, but for the one of notices."""
    built: dict[str, dg.SensorDefinition] = {m.__name__.rpartition(".")[2]: m.build(product) for m in SENSORS}
    return built | {"stale": stale.build(product, None)}


def _slowest(ticks: Mapping[str, list[float]]) -> float:
    return max(median(seconds) for seconds in ticks.values())
