"""What is read of all partitions of a product at once: one query each, however many there are."""

from collections.abc import Iterator

from sqlalchemy import Select, and_, func, select

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.records import ManifestRecord
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger, entry_of
from resources.ledger.records import read

CHUNK = 500
"""Rows that are taken from the database at a time."""


def current_manifests(ledger: Ledger, product: str, stage: str) -> Iterator[Manifest]:
    """The current manifest of each partition of the stage that was ever published, in no order; one after another, as all of them
    may be more than memory holds. Raises EntryNewer and EntryMalformed."""
    published, columns = schema.publications.c, schema.manifests.c
    query = (
        select(schema.entries)
        .join(schema.manifests, columns.seq == schema.entries.c.seq)
        .join(schema.publications, published.manifest == columns.id)
        .where(published.seq.in_(_newest(product, stage)))
    )
    with ledger.engine.connect() as connection:
        for row in connection.execution_options(yield_per=CHUNK).execute(query):
            yield Manifest.from_dict(read(entry_of(row), ManifestRecord).body.manifest, entry=row.seq)


def manifests_of(ledger: Ledger, snapshot: str) -> list[Manifest]:
    """The manifests of a snapshot, oldest first."""
    seqs = select(schema.manifests.c.seq).where(schema.manifests.c.snapshot == snapshot)
    records = ledger.records(ManifestRecord, schema.entries.c.seq.in_(seqs))
    return [Manifest.from_dict(entry.body.manifest, entry=entry.seq) for entry in records]


def outcomes_read(ledger: Ledger, product: str) -> dict[str, dict[str, str]]:
    """The digest of each delivered file, by its asset, that the current outcomes of each partition were read from."""
    published, manifests, inputs = schema.publications.c, schema.manifests.c, schema.inputs.c
    is_delivered = and_(inputs.consumer == manifests.seq, inputs.asset.startswith("landing/"))
    query = (
        select(published.partition, inputs.asset, inputs.data_version)
        .join(schema.manifests, manifests.id == published.manifest)
        .join(schema.inputs, is_delivered, isouter=True)
        .where(published.seq.in_(_newest(product, "outcomes")))
    )
    files: dict[str, dict[str, str]] = {}
    with ledger.engine.connect() as connection:
        for row in connection.execute(query):
            read = files.setdefault(row.partition, {})
            if row.asset is not None:
                read[row.asset] = row.data_version
    return files


def shown_since(ledger: Ledger, product: str, stage: str) -> dict[str, str]:
    """When the oldest claim about the current manifest of each partition was shown, by its newest evidence (UTC, ISO 8601);
    partitions without evidence are left out."""
    published, evidence, entries = schema.publications.c, schema.evidence.c, schema.entries.c
    shown = (
        select(published.partition, func.max(evidence.seq).label("seq"))
        .join(schema.evidence, evidence.subject == published.manifest)
        .where(published.seq.in_(_newest(product, stage)))
        .group_by(published.partition, evidence.claim)
        .subquery()
    )
    query = select(shown.c.partition, func.min(entries.at)).join(schema.entries, entries.seq == shown.c.seq)
    with ledger.engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(shown.c.partition))}


def partitions_with(ledger: Ledger, product: str, stage: str, claim: str) -> list[str]:
    """The partitions of a stage with evidence for a claim, about any manifest of them, newest first."""
    published, evidence = schema.publications.c, schema.evidence.c
    query = (
        select(published.partition)
        .join(schema.evidence, evidence.subject == published.manifest)
        .where(published.product == product, published.stage == stage, evidence.claim == claim)
        .distinct()
        .order_by(published.partition.desc())
    )
    with ledger.engine.connect() as connection:
        return list(connection.scalars(query))


def _newest(product: str, stage: str) -> Select[tuple[int]]:
    """The newest publication of each partition of a stage."""
    published = schema.publications.c
    of_stage = (published.product == product, published.stage == stage)
    return select(func.max(published.seq)).where(*of_stage).group_by(published.partition)
