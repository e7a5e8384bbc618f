"""The declared source of a table: what it is due to be asked for, and asking it.

What it answers becomes a file in the landing folder; from there on it is a delivery like any other. It is asked again only where
a person says so, or where its state changes: the value of `watch`, the files at its URL, the upstream asset.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.core.digests import digest_json, sha256
from ml_assets.core.lineage.extractions import ExtractionRecord
from ml_assets.core.lineage.partitions import Partitions, partitions_of, utc_now
from ml_assets.core.outcomes.maturity import matures_at
from ml_assets.services.extraction.delivery_content import DeliveryContent, ExtractionRefused, of_files, of_rows
from ml_assets.services.extraction.source_files import WHOLE, FilesByPartition, upstream_states
from ml_assets.services.next_window import next_delivery
from ml_assets.spec.delivery import ReferenceSpec
from ml_assets.spec.labels import LabelsSpec
from ml_assets.spec.product import Product
from ml_assets.spec.sources import SourceSpec
from resources.landing import Landing
from resources.ledger.followed_records import records_of
from resources.ledger.ledger import Ledger
from resources.ledger.records import Record
from resources.outcome_files import source_file
from resources.sources.databases import Bounds, Database, database_of
from resources.sources.files import SourceFiles

if TYPE_CHECKING:
    from dagster import DagsterInstance


@dataclass(frozen=True)
class DueExtraction:
    """A partition to be asked for, "" of a table that is delivered whole. `state`: that of the source, None where it is not known
    before it is asked."""

    table: str
    partition: str
    state: str | None


@dataclass(frozen=True)
class Extraction:
    """The delivery of a source, and whether other bytes than before lie in the landing folder now."""

    record: ExtractionRecord
    is_new: bool


@dataclass(frozen=True)
class TableSource:
    """The source of one table. Without an `instance` of Dagster nothing is known of upstream assets."""

    product: Product
    table: str
    landing: Landing
    ledger: Ledger
    instance: "DagsterInstance | None" = field(default=None, repr=False)

    @property
    def spec(self) -> SourceSpec:
        """The declaration. Raises ExtractionRefused where there is none."""
        if self.table not in self.product.sources:
            declared = ", ".join(self.product.sources) or "none"
            raise ExtractionRefused(
                f"{self.product.name}: {self.table or 'it'} has no source in product.yaml (`sources:`); with one: {declared}; "
                f"`ml-assets deliver {self.product.name} TABLE FILE` delivers a file by hand"
            )
        return self.product.sources[self.table]

    @property
    def calendar(self) -> Partitions | None:
        """The partitions that are asked for one by one; None for a static or a reference table, which is delivered whole."""
        is_whole = self.product.partitions.is_static or self.table in self.product.delivery.reference
        return None if is_whole else partitions_of(self.product)

    @property
    def outcomes(self) -> LabelsSpec | None:
        """The section `labels`, if the table is that of outcomes: what it brings counts together with what others deliver."""
        labels = self.product.labels
        return labels if labels and self.table in labels.delivered else None

    @property
    def known(self) -> dict[str, Record[ExtractionRecord]]:
        """The newest extraction of each partition; of a static table that of the newest delivery, under ""."""
        recorded = extractions(self.ledger, self.product.name).items()
        entries = {key: entry for (table, key), entry in recorded if table == self.table}
        if self.calendar is None and entries:
            return {WHOLE: max(entries.values(), key=lambda entry: entry.seq)}
        return entries

    def due(self, now: datetime) -> Iterator[DueExtraction]:
        """The requests that are due at a moment (naive UTC), in order. Raises what `extract` raises of a place that is away."""
        known, there, over = self.known, self._delivered(), self._over(now)
        missing = [key for key in over if key not in known and key not in there]
        if self.spec.sql:
            early = [key for key in over if key in known and self._was_early(known[key], now)]
            yield from (DueExtraction(self.table, key, None) for key in (*early, *missing))
            watched = [key for key in over if key in known][-self.spec.watched :] if self.spec.watch else []
            states: Mapping[str, str] = {key: self._watched(key) for key in watched}
        else:
            states = self._states(now - timedelta(seconds=self.product.landing.settle))
            yield from (DueExtraction(self.table, key, states[key]) for key in missing if key in states)
        for key, state in states.items():
            if key in known and state != known[key].body.state:
                yield DueExtraction(self.table, key, state)

    def extract(self, partition: str, *, state: str | None = None, again: bool = False) -> Extraction:
        """Ask for a partition, deliver the answer and record that. Raises ExtractionRefused where it was asked for or delivered
        before and nobody says `again`, and where the source has nothing; QueryRefused, DatabaseAway, StoreAway, StoreRefused,
        DeliveryError and PartitionKeyError."""
        if self.calendar is not None:
            self.calendar.require_finished(partition, utc_now())
        last = self.known.get(partition)
        if not again:
            self._refuse_repeated(partition, last, state)
        if state is None:  # before the rows: what changes meanwhile makes it due again
            state = self._watched(partition) if self.spec.sql else self._states().get(partition, "")
        answer = self._answer(partition)
        digest, key = sha256(answer.content), partition
        if self.product.partitions.is_static and self.table in self.product.delivery.tables:
            is_same = last is not None and last.body.content == digest
            key = last.body.partition if last and is_same else next_delivery(self.landing, self.ledger, self.product, self.table)
        file = self._file(key)
        if is_new := not file.is_file() or sha256(file.read_bytes()) != digest:
            self.landing.write(file, answer.content)
        record = ExtractionRecord(
            product=self.product.name,
            table=self.table,
            partition=key,
            content=digest,
            rows=answer.rows,
            asked=self.spec.uri or sha256(self.spec.sql.encode()),
            state=state,
            files=answer.files,
        )
        self.ledger.append("extraction", record)
        return Extraction(record, is_new)

    def _refuse_repeated(self, partition: str, last: Record[ExtractionRecord] | None, state: str | None) -> None:
        """Refuse what is there already, unless the source has something else now."""
        of = f" --partition {partition}" if partition else ""
        tables = f" --table {self.table}" if len(self.product.sources) > 1 else ""
        command = f"`ml-assets extract {self.product.name}{of}{tables} --again`"
        if last is not None and (state is None or state == last.body.state) and not self._was_early(last, utc_now()):
            raise ExtractionRefused(
                f"{self._name(partition)} was asked for {last.at[:16]} UTC ({last.body.rows:,} rows, {last.body.content[:9]}); "
                f"{command} asks the source again"
            )
        if last is None and partition in self._delivered():
            raise ExtractionRefused(f"{self._name(partition)} was delivered by hand; {command} replaces that")

    def _was_early(self, last: Record[ExtractionRecord], now: datetime) -> bool:
        """Whether the outcomes of a partition were asked for before they were complete, and are complete at a moment."""
        at = matures_at(self.product, last.body.partition) if self.outcomes and self.spec.sql else None
        return at is not None and last.at < at.isoformat() and at.replace(tzinfo=None) <= now

    def _file(self, partition: str) -> Path:
        """Where the source delivers a partition."""
        if self.outcomes:
            return source_file(self.landing, self.product, partition)
        return self.landing.file(self.product, self.table, partition)

    def _delivered(self) -> frozenset[str]:
        """The partitions that have a file; "" where a table that is delivered whole has one. Files of outcomes are in no one's
        way."""
        if self.outcomes:
            return frozenset()
        if self.table in self.product.delivery.reference:
            is_there = self.landing.file(self.product, self.table).is_file()
            return frozenset([WHOLE] if is_there else [])
        keys = self.landing.listing(self.product).keys(self.table)
        return frozenset(keys if self.calendar else [WHOLE] if keys else [])

    def _over(self, now: datetime) -> list[str]:
        """The partitions that have been over for as long as the source needs to settle."""
        if self.calendar is None:
            return [WHOLE]
        calendar = self.calendar
        newest = calendar.shift(calendar.key_of(now - self._delay), -1)
        last = calendar.shift(calendar.end, -1) if calendar.end else newest
        return [*calendar.keys(calendar.start, min(newest, last, key=calendar.ordinal))]

    @property
    def _delay(self) -> timedelta:
        """How long after its end a partition is asked for: outcomes once they are complete, unless `settle` says otherwise."""
        is_declared = "settle" in self.spec.model_fields_set
        return self.outcomes.maturity if self.outcomes and not is_declared else self.spec.delay

    def _watched(self, partition: str) -> str:
        """The digest of the watched value; "" where none is declared."""
        return digest_json(self._database.value(self.spec.watch, self._bounds(partition))) if self.spec.watch else ""

    def _states(self, still_since: datetime = datetime.max) -> Mapping[str, str]:
        """The offer of the source for each partition now: the files at its URL, or what the upstream asset says of them."""
        if not self.spec.asset:
            return self._files.states(still_since)
        return upstream_states(self.instance, self.spec.asset, self.calendar) if self.instance else {}

    def _answer(self, partition: str) -> DeliveryContent:
        name, is_no = self._name(partition), self.outcomes is not None and self.outcomes.absent == "negative"
        if self.spec.sql:
            frame = self._database.rows(self.spec.sql, self._bounds(partition))
            key, time = self.product.features.key, getattr(self._table, "time", "")
            return of_rows(frame, key=key, time=time, name=f"{name}: {self._database.name}", may_be_none=is_no)
        files = self._files.listed().get(partition, [])
        if not files:
            raise ExtractionRefused(f"{name}: there is no file at {self.spec.uri}; put it there, or correct the URL")
        contents = {file.name: self._files.files.read(file) for file in files}
        return of_files(contents, self._table, may_be_none=is_no)

    @property
    def _table(self) -> ReferenceSpec:
        """How files of the table are written."""
        return self.outcomes.delivered[self.table] if self.outcomes else self.product.table(self.table)

    @cached_property
    def _database(self) -> Database:
        return database_of(self.spec.database, folder=self.product.folder)

    @cached_property
    def _files(self) -> FilesByPartition:
        setting = f"sources.{self.table}.uri of {self.product.name}"
        return FilesByPartition(SourceFiles(self.spec.uri, setting), self.calendar)

    def _bounds(self, partition: str) -> Bounds:
        start_and_end = self.calendar.window(partition) if self.calendar else ()
        return dict(zip(("start", "end"), start_and_end, strict=False))

    def _name(self, partition: str) -> str:
        return f"{self.product.name}: {self.table} {partition}".strip()


def sources_of(
    product: Product, landing: Landing, ledger: Ledger, instance: "DagsterInstance | None" = None
) -> list[TableSource]:
    """The declared sources of a product; those of reference tables first, without which no partition is read."""
    tables = sorted(product.sources, key=lambda table: table not in product.delivery.reference)
    return [TableSource(product, table, landing, ledger, instance) for table in tables]


def extractions(ledger: Ledger, product: str) -> dict[tuple[str, str], Record[ExtractionRecord]]:
    """The newest extraction of each table and partition of the product, oldest first."""
    entries = records_of(ledger, "extraction", ExtractionRecord, product)
    return {(entry.body.table, entry.body.partition): entry for entry in entries}
