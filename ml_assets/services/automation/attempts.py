"""Attempts begin when a run reads a delivery, and end when what came of the run is known: recorded by the run that begins, and by
the command or the sensor that sees it end. A run that was killed records nothing; the next one who looks does."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ml_assets.core.digests import digest_json, sha256
from ml_assets.core.lineage.attempts import AttemptRecord, Delivery, End
from ml_assets.services.automation.run_outcomes import OUTCOME_TAG, REASON_TAG, Outcome, outcome_of
from ml_assets.services.planning.plan import definitions
from ml_assets.spec.product import Product
from resources import landing_digests
from resources.landing import Landing, Listing, NotDelivered
from resources.landing_digests import FileDigests
from resources.ledger import attempts as recorded
from resources.lineage import Lineage

if TYPE_CHECKING:
    from dagster import DagsterInstance

NUMBER_TAG, TRIES_TAG = "ml-assets/attempt", "ml-assets/tries"
MOST_REMEMBERED = 50_000
"""Digests of deliveries that a process remembers: a sensor asks for those of all partitions in each tick."""
ENDS: Mapping[str, End] = {"data refused": "refused", "broken": "broken", "canceled": "gave up"}
"""How an attempt ends by its run's outcome, where that is not a success."""


def content_digest(files: Mapping[str, str]) -> str:
    """One digest over the digests of some tables' files; of one table its own."""
    return _content_digest(*files.items())


@lru_cache(MOST_REMEMBERED)
def _content_digest(*files: tuple[str, str]) -> str:
    if len(files) == 1:
        return files[0][1]
    return sha256("\n".join(f"{table} {digest}" for table, digest in sorted(files)).encode())


def code_digest(product: Product) -> str:
    """The digest of all that is declared of the product's stages: code, configuration and libraries."""
    return digest_json({name: vars(definition) for name, definition in definitions(product).items()})


@dataclass(frozen=True)
class Landed:
    """The files that are in the landing folder for a product now. Digests are remembered in `cache`, which can be lost."""

    landing: Landing
    product: Product
    cache: Path

    @cached_property
    def listing(self) -> Listing:
        """The delivered files."""
        return self.landing.listing(self.product)

    @cached_property
    def digests(self) -> FileDigests:
        """The remembered digests of the delivered files."""
        return FileDigests.read(self.cache / f"landing-{self.product.name}.json")

    @cached_property
    def reference(self) -> dict[str, str]:
        """The digest of each reference table's file; nothing while one is missing, or where there are none."""
        return landing_digests.reference(self.landing, self.product, self.digests)

    def content(self, partition: str) -> str:
        """The digest of a partition's files. Raises NotDelivered."""
        files = self.landing.partition_files(self.product, partition)
        return content_digest({table: self.digests.of(str(path), path.stat()) for table, path in files.items()})


def reference_read(lineage: Lineage, product: Product) -> dict[str, str]:
    """The digest of each reference table's file that was read last; nothing before any was."""
    current = lineage.ledger.current(product.name, "reference", "") if product.delivery.reference else None
    return {source.asset.rpartition("/")[2]: source.data_version for source in current.recipe.inputs} if current else {}


def reference_digest(lineage: Lineage, landed: Landed) -> str:
    """The digest of the reference tables that a run reads now: those in the landing folder or, while one is missing there, those
    that were read last, which the store keeps."""
    return content_digest(landed.reference or reference_read(lineage, landed.product))


def begin(lineage: Lineage, landed: Landed, partition: str, *, run: str, tags: Mapping[str, str]) -> None:
    """Record that a run reads the partition's delivery, unless it is current already or there is none."""
    product = landed.product
    try:
        content = landed.content(partition)
    except NotDelivered:  # raw reads again what the store keeps, or says what is missing
        return
    delivery = Delivery(partition, content, reference_digest(lineage, landed), code_digest(product))
    landed.digests.write()
    newest = recorded.newest(lineage.ledger, product.name, [partition]).get(partition)
    last = newest.record if newest else None
    is_known = last and last.end == "current" and delivery.is_of(last) and last.code == delivery.code
    if is_known or (last and last.run == run):
        return
    record = AttemptRecord(
        product=product.name,
        partition=partition,
        content=content,
        reference=delivery.reference,
        code=delivery.code,
        number=max(int(tags.get(NUMBER_TAG, 1)), last.number + 1 if last else 1),
        tries=int(tags.get(TRIES_TAG, 1)),
        run=run,
    )
    lineage.ledger.append("attempt", record)


def settle(lineage: Lineage, instance: "DagsterInstance", product: Product) -> list[AttemptRecord]:
    """End every attempt whose run has ended, and name the outcome in the run's tags; the ends."""
    ended = []
    for attempt in recorded.newest(lineage.ledger, product.name, is_open=True).values():
        if end := _end(lineage, instance, product, attempt.record):
            lineage.ledger.append("attempt", end)
            ended.append(end)
    return ended


def lost(product: Product, delivery: Delivery, *, number: int, tries: int, run: str, outcome: Outcome) -> AttemptRecord:
    """The end of an attempt whose run ended before it read anything."""
    fields = {name: getattr(delivery, name) for name in ("partition", "content", "reference", "code")}
    begun = AttemptRecord(product=product.name, number=number, tries=tries, run=run, **fields)
    if outcome.is_success:
        outcome = Outcome("broken", "its run recorded nothing in this ledger")
    return _ended(product, begun, outcome)


def _end(lineage: Lineage, instance: "DagsterInstance", product: Product, begun: AttemptRecord) -> AttemptRecord | None:
    run = instance.get_run_by_id(begun.run)
    if run is None:
        return _ended(product, begun, Outcome("broken", f"Dagster knows nothing of its run {begun.run}"))
    if not run.is_finished:
        return None
    outcome = outcome_of(instance, run)
    instance.add_run_tags(run.run_id, {OUTCOME_TAG: outcome.kind, REASON_TAG: outcome.reason})
    if outcome.is_success and not _reached_features(lineage, product, begun.partition):
        return msgspec.structs.replace(begun, end="superseded", outcome=outcome.kind, reason="the run made no features")
    return _ended(product, begun, outcome)


def _ended(product: Product, begun: AttemptRecord, outcome: Outcome) -> AttemptRecord:
    end = ENDS.get(outcome.kind, "current")
    if end == "broken" and begun.tries > product.retries.most:
        end = "gave up"
    return msgspec.structs.replace(begun, end=end, outcome=outcome.kind, reason=outcome.reason)


def _reached_features(lineage: Lineage, product: Product, partition: str) -> bool:
    """Whether the partition's features come from its raw as it is now."""
    current = {stage: lineage.ledger.current(product.name, stage, partition) for stage in ("raw", "dataset", "features")}
    raw, dataset, features = (current[stage] for stage in ("raw", "dataset", "features"))
    if raw is None or dataset is None or features is None:
        return False
    made_from = {source.manifest for source in features.recipe.inputs}
    return dataset.id in made_from and raw.id in {source.manifest for source in dataset.recipe.inputs}
