"""The ledger: one append-only, hash-chained record of what was built, proven, decided and moved.

Each entry's hash covers its content and the hash before it (resources.ledger.chain), so any changed, removed or reordered
entry shows. Writers take the database's write lock first: several processes can append, one at a time.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Select, func, insert, or_, select

from ml_assets.core.digests import canonical_json
from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.records import EvidenceRecord, ManifestRecord, PublicationRecord
from ml_assets.core.lineage.source import Source
from ml_assets.core.release.identity import By, recorded
from ml_assets.core.release.records import MoveRecord
from ml_assets.errors import MlAssetsError
from resources.ledger import head_checkpoint, leases
from resources.ledger import tables as schema
from resources.ledger.chain import GENESIS, Entry, entry_hash
from resources.ledger.database import lock, open_database, open_read_only, refuse_later, refuse_moved
from resources.ledger.head_checkpoint import Head
from resources.ledger.identity import FILE, refuse_another_ledger
from resources.ledger.index import MOST_VARIABLES, add_rows, asset_of
from resources.ledger.kinds import KINDS, Kind
from resources.ledger.records import Body, Record, read, stored

__all__ = ["GENESIS", "KINDS", "Entry", "Kind", "Ledger", "LedgerConflict", "entries_where", "entry_hash", "write"]

Guard = Callable[[Connection], None]


class LedgerConflict(MlAssetsError):
    """The state that a decision was based on is no longer the state of the ledger."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Ledger:
    """The record at a database URL (SQLite or PostgreSQL). `head_checkpoint` is a file that remembers the newest entry. One that
    somebody else writes (`is_read_only`) has to be there, and stays as it is. The lease of `run`, which writes, has to hold;
    `asker` asked for it."""

    url: str
    head_checkpoint: Path | None = None
    is_read_only: bool = False
    run: str = ""
    asker: By = ""

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, opened on first use. Raises LedgerRefused and AnotherLedger."""
        if self.is_read_only:
            return open_read_only(self.url)
        engine = open_database(self.url)
        if self.belonging is not None:
            with engine.connect() as connection:
                refuse_another_ledger(self.belonging, connection, self.url)
        return engine

    @property
    def belonging(self) -> Path | None:
        """The file in which the home remembers its ledger and its store."""
        return self.head_checkpoint.with_name(FILE) if self.head_checkpoint else None

    def close(self) -> None:
        """Give back the database connections; the next use opens new ones."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    def append(
        self, kind: Kind, body: Mapping[str, Any] | msgspec.Struct, *, guard: Guard | None = None, is_restoring: bool = False
    ) -> Entry:
        """Append one entry. `guard` runs inside the transaction, after the lock; what it raises undoes all. Raises
        LedgerRolledBack and LeaseLost, as every way to append does, unless this is what records a restoration."""
        with self.engine.begin() as connection:
            lock(connection)
            if not is_restoring:
                self._refuse_outdated(connection)
            if guard is not None:
                guard(connection)
            entry = _append(connection, kind, stored(body))
        self._remember(entry)
        return entry

    def publish(
        self,
        manifest: Manifest,
        *,
        run: str,
        source: Source | None = None,
        seconds: Mapping[str, float] | None = None,
        is_current: bool = True,
    ) -> None:
        """Record the manifest (once) and make it the current one of its asset and partition; unless `is_current`, what was
        current before becomes so again in the same transaction. `source` is where code and product came from; `seconds` is what
        building took, {"wall": …, "cpu": …}."""
        entry = None
        with self.engine.begin() as connection:
            lock(connection)
            self._refuse_outdated(connection)
            if connection.scalar(select(schema.manifests.c.seq).where(schema.manifests.c.id == manifest.id)) is None:
                body: dict[str, Any] = {"run": run, "source": source} | (recorded(self.asker) if self.asker else {})
                body |= {"id": manifest.id, "manifest": manifest.to_dict()} | ({"seconds": seconds} if seconds else {})
                entry = _append(connection, "manifest", body)
            current = connection.scalar(_current(manifest.recipe.product, manifest.recipe.stage, manifest.partition))
            current_ones = [manifest.id] if is_current or current is None else [manifest.id, current]
            for id in current_ones if current != manifest.id else ():
                published = PublicationRecord(manifest=id, run=run, **asset_of(manifest))
                entry = _append(connection, "publication", stored(published))
        if entry is not None:
            self._remember(entry)

    def manifest(self, id: str) -> Manifest | None:
        """Return the manifest with this id, or None."""
        return self._manifest(schema.manifests.c.id == id)

    def manifests(self, ids: Collection[str]) -> dict[str, Manifest]:
        """Those of these ids that are recorded, by id: one query for as many as a database takes."""
        parts = [list(ids)[first : first + MOST_VARIABLES] for first in range(0, len(ids), MOST_VARIABLES)]
        return {m.id: m for part in parts for m in self._manifests(schema.manifests.c.id.in_(part))}

    def record_of(self, manifest: Manifest) -> Record[ManifestRecord]:
        """The entry of a manifest that is recorded here: who made it, from which commit, how long it took."""
        return self._records_of(manifest.id)[-1]

    def source(self, id: str) -> Mapping[str, Any] | None:
        """The recorded source of the code and product of a manifest (core.lineage.source); None where nothing was recorded."""
        return next((entry.body.source for entry in self._records_of(id)), None)

    def by_key(self, key: str) -> Manifest | None:
        """The newest manifest of this recipe key."""
        return self._manifest(schema.manifests.c.key == key)

    def by_prefix(self, prefix: str) -> list[Manifest]:
        """Manifests whose id, data version or snapshot digest starts with the prefix, oldest first."""
        columns = (schema.manifests.c.id, schema.manifests.c.data_version, schema.manifests.c.snapshot)
        return self._manifests(or_(*(column.startswith(prefix, autoescape=True) for column in columns)))

    def release_named(self, name: str) -> Manifest | None:
        """The newest release with this name (`<as of>.<8 digits>`)."""
        where = (schema.manifests.c.stage == "release", schema.manifests.c.partition == name.rpartition(".")[0])
        return next((m for m in reversed(self._manifests(*where)) if ReleaseFacts.of(m).release == name), None)

    def current(self, product: str, stage: str, partition: str = "") -> Manifest | None:
        """The current manifest of an asset's partition; None if it was never published."""
        return self._manifest(schema.manifests.c.id == _current(product, stage, partition).scalar_subquery())

    def recorded(self, product: str, stage: str, partition: str) -> list[Manifest]:
        """Every manifest of an asset's partition, oldest first."""
        m = schema.manifests.c
        return self._manifests(m.product == product, m.stage == stage, m.partition == partition)

    def partitions(self, product: str, stage: str) -> list[str]:
        """Every partition of the asset that was ever published, in order."""
        columns = schema.publications.c
        query = select(columns.partition).distinct().where(columns.product == product, columns.stage == stage)
        with self.engine.connect() as connection:
            return sorted(connection.scalars(query))

    def build_seconds(self, product: str, stage: str, *, newest: int | None = None, since: str = "") -> list[float]:
        """The CPU seconds that the builds of a stage took, where they were recorded: of the newest, or of those since a moment
        (UTC, ISO 8601)."""
        columns = schema.manifests.c
        seqs = select(columns.seq).where(columns.product == product, columns.stage == stage)
        if newest is not None:
            seqs = seqs.order_by(columns.seq.desc()).limit(newest)
        records = self.records(ManifestRecord, schema.entries.c.seq.in_(seqs), schema.entries.c.at >= since)
        return [entry.body.seconds["cpu"] for entry in records if entry.body.seconds]

    def add_evidence(self, *, subject: str, claim: str, passed: bool, details: Mapping[str, Any], run: str) -> None:
        """Record what a claim showed for exactly one manifest (`subject` is its id)."""
        self.append("evidence", {"subject": subject, "claim": claim, "passed": passed, "details": details, "run": run})

    def evidence(self, subject: str) -> dict[str, Record[EvidenceRecord]]:
        """The newest evidence of each claim about one manifest."""
        columns = schema.evidence.c
        newest = select(func.max(columns.seq)).where(columns.subject == subject).group_by(columns.claim)
        return {entry.body.claim: entry for entry in self.records(EvidenceRecord, schema.entries.c.seq.in_(newest))}

    def pointer(self, product: str, environment: str, *, before: str | None = None) -> Record[MoveRecord] | None:
        """The newest move of an endpoint; with `before`, the newest one to a release as of an earlier partition."""
        columns = schema.pointers.c
        newest = select(func.max(columns.seq)).where(columns.product == product, columns.environment == environment)
        if before is not None:
            newest = newest.where(columns.as_of < before)
        return next(iter(self.records(MoveRecord, schema.entries.c.seq == newest.scalar_subquery())), None)

    def moves(self, product: str, environment: str, *, after: int = 0, since: str = "") -> list[Record[MoveRecord]]:
        """Every move of an endpoint after an entry and since a moment (UTC, ISO 8601), oldest first."""
        columns = schema.pointers.c
        seqs = select(columns.seq).where(columns.product == product, columns.environment == environment, columns.seq > after)
        return self.records(MoveRecord, schema.entries.c.seq.in_(seqs), schema.entries.c.at >= since)

    def move_pointer(
        self, kind: Kind, move: MoveRecord, *, expected: str | None, guard: Guard | None = None
    ) -> Record[MoveRecord]:
        """Move an endpoint if `expected` (a bundle's digest, or None) serves at this moment. Raises LedgerConflict otherwise."""

        def still_serving(connection: Connection) -> None:
            columns = schema.pointers.c
            where = (columns.product == move.product, columns.environment == move.environment)
            query = select(columns.release).where(*where).order_by(columns.seq.desc()).limit(1)
            if (now := connection.scalar(query)) != expected:
                raise LedgerConflict(
                    f"{move.product}: in {move.environment} release {_short(now)} serves, not {_short(expected)} as "
                    "the decision assumed; materialize evaluation again to compare with the release that serves now"
                )
            if guard is not None:
                guard(connection)

        return read(self.append(kind, move, guard=still_serving), MoveRecord)

    def entries(self, *where: Any) -> list[Entry]:
        """Entries that match, oldest first."""
        with self.engine.connect() as connection:
            return entries_where(connection, *where)

    def records(self, body: type[Body], *where: Any) -> list[Record[Body]]:
        """Entries that match with their bodies parsed, oldest first. Raises EntryNewer or EntryMalformed."""
        return [read(entry, body) for entry in self.entries(*where)]

    def holds(self, head: Head) -> bool:
        """Whether an entry is in the chain, as it was."""
        with self.engine.connect() as connection:
            return head_checkpoint.holds(connection, head)

    def _refuse_outdated(self, connection: Connection) -> None:
        refuse_moved(connection)
        refuse_later(connection)
        if self.run:
            leases.refuse_revoked(connection, self.run)
        if self.head_checkpoint is not None:
            head_checkpoint.refuse_rolled_back(self.head_checkpoint, connection)

    def _remember(self, entry: Entry) -> None:
        if self.head_checkpoint is not None:
            head_checkpoint.remember(self.head_checkpoint, head_checkpoint.Head(entry.seq, entry.hash))

    def _records_of(self, id: str) -> list[Record[ManifestRecord]]:
        seqs = select(schema.manifests.c.seq).where(schema.manifests.c.id == id)
        return self.records(ManifestRecord, schema.entries.c.seq.in_(seqs))

    def _manifest(self, *where: Any) -> Manifest | None:
        return next(reversed(self._manifests(*where)), None)

    def _manifests(self, *where: Any) -> list[Manifest]:
        seqs = select(schema.manifests.c.seq).where(*where)
        records = self.records(ManifestRecord, schema.entries.c.seq.in_(seqs))
        return [Manifest.from_dict(entry.body.manifest, entry=entry.seq) for entry in records]


def entries_where(connection: Connection, *where: Any) -> list[Entry]:
    """Entries that match, oldest first, as seen from inside of a transaction."""
    query = select(schema.entries).where(*where).order_by(schema.entries.c.seq)
    return [entry_of(row) for row in connection.execute(query)]


def _short(release: str | None) -> str:
    return release[:12] if release else "none"


def entry_of(row: Any) -> Entry:
    """The entry that a row of the table holds."""
    return Entry(row.seq, row.at, row.kind, json.loads(row.body), row.previous, row.hash)


def _current(product: str, stage: str, partition: str) -> Select[str]:
    columns = schema.publications.c
    where = (columns.product == product, columns.stage == stage, columns.partition == partition)
    return select(columns.manifest).where(*where).order_by(columns.seq.desc()).limit(1)


def _append(connection: Connection, kind: Kind, body: Mapping[str, Any]) -> Entry:
    newest = select(schema.entries.c.seq, schema.entries.c.hash).order_by(schema.entries.c.seq.desc()).limit(1)
    last = connection.execute(newest).first()
    seq, previous = (last.seq + 1, last.hash) if last else (1, GENESIS)
    stored = json.loads(canonical_json(body))
    row: dict[str, Any] = {"seq": seq, "at": _now(), "kind": kind, "previous": previous, "body": stored}
    entry = Entry(**row, hash=entry_hash(**row))
    write(connection, entry)
    return entry


def write(connection: Connection, entry: Entry) -> None:
    """Write an entry and what it adds to the index tables. Appending and verifying both come here."""
    row = {**vars(entry), "body": canonical_json(entry.body).decode()}
    connection.execute(insert(schema.entries).values(**row))
    add_rows(connection, entry)
