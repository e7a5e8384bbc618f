"""A new or changed file in the landing folder launches the path for its partition, once per content.

What the path has read already, run by hand or by another sensor's life, is not new.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import dagster as dg

from ml_assets.core.digests import digest_json
from ml_assets.spec.product import Product
from resources.landing import Landing, NotDelivered, remembered_digest
from resources.ledger.ledger import Ledger
from resources.source_changes import changed_since_start

TICK_SECONDS = 10
MOST_RUNS = 25
"""Runs requested by one tick; the rest follow in the next ones, oldest partition first."""


@dataclass
class Cursor:
    """What the sensor remembers: digests by file, the content last launched for each partition, how often, and the
    reference tables' content at that time."""

    files: dict[str, list[int | str]] = field(default_factory=dict)
    launched: dict[str, str] = field(default_factory=dict)
    launches: dict[str, int] = field(default_factory=dict)
    reference: str | None = None

    def content(self, tables: Mapping[str, Path]) -> str:
        """One digest over the files of some tables."""
        return digest_json({table: self.digest(path) for table, path in tables.items()})

    def digest(self, path: Path) -> str:
        """A file's digest, read once as long as the file stays as it is."""
        return remembered_digest(path, self.files)

    def request(self, partition: str, content: str) -> dg.RunRequest:
        """A run of the path. The count lets content that comes back after another one run again, and once."""
        self.launched[partition] = content
        self.launches[partition] = count = self.launches.get(partition, 0) + 1
        tags = {"ml-assets/content": content}
        return dg.RunRequest(run_key=f"{partition}:{content}:{count}", partition_key=partition, tags=tags)


def build(product: Product) -> dg.SensorDefinition:
    """The product's sensor; a quiet tick reads no file."""

    @dg.sensor(
        name=f"{product.name}_new_data",
        job_name=f"{product.name}_path",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="New or changed deliveries.",
    )
    def new_data(
        context: dg.SensorEvaluationContext, landing: dg.ResourceParam[Landing], ledger: dg.ResourceParam[Ledger]
    ) -> dg.SensorResult | dg.SkipReason:
        cursor = Cursor(**json.loads(context.cursor)) if context.cursor else Cursor()
        stray = [f"{path.parent.name}/{path.name}" for path in landing.stray(product)]
        about = f"; named for no {product.partitions.every}: {', '.join(stray)}" if stray else ""
        if changes := changed_since_start(product):
            about = f"{about}; {changes}"
        if about:
            context.log.warning(f"{product.name}{about}")
        try:
            requests = _requests(product, landing, ledger, cursor)
        except NotDelivered as error:
            return dg.SkipReason(f"{error}{about}")
        context.update_cursor(json.dumps(asdict(cursor)))
        if not requests:
            return dg.SkipReason(f"no delivered partition is new or changed{about}")
        return dg.SensorResult(run_requests=requests)

    return new_data


def _requests(product: Product, landing: Landing, ledger: Ledger, cursor: Cursor) -> list[dg.RunRequest]:
    """New or changed partitions; a change of the reference tables alone counts for the newest partition."""
    delivered = landing.delivered(product)
    if not delivered:
        return []
    contents = {key: cursor.content(landing.partition_files(product, key)) for key in delivered}
    unknown = [key for key in delivered if key not in cursor.launched]
    was_read = {key for key in unknown if _was_read(product, ledger, cursor, key, landing.partition_files(product, key))}
    cursor.launched |= {key: contents[key] for key in was_read}
    due = [key for key in delivered if cursor.launched.get(key) != contents[key]][:MOST_RUNS]
    reference = cursor.content(landing.reference_files(product))
    if cursor.reference not in (None, reference) and delivered[-1] not in due:
        due.append(delivered[-1])
    cursor.reference = reference
    return [cursor.request(key, contents[key]) for key in due]


def _was_read(product: Product, ledger: Ledger, cursor: Cursor, key: str, files: Mapping[str, Path]) -> bool:
    """Whether raw holds exactly what lies in the landing folder."""
    raw = ledger.current(product.name, "raw", key)
    read = {i.asset.rpartition("/")[2]: i.data_version for i in raw.recipe.inputs} if raw else {}
    return read == {table: cursor.digest(path) for table, path in files.items()}
