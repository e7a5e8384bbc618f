"""Attempts to bring deliveries through the path, as the ledger keeps them."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select

from ml_assets.core.lineage.attempts import Attempt, AttemptRecord
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger

COLUMNS = tuple(field.name for field in msgspec.structs.fields(AttemptRecord))


def newest(ledger: Ledger, product: str, partitions: Sequence[str] = (), *, is_open: bool = False) -> dict[str, Attempt]:
    """The newest attempt of each partition, or of those that are named; with `is_open`, those that have not ended."""
    columns = schema.attempts.c
    where = [columns.product == product, *([columns.partition.in_(partitions)] if partitions else [])]
    last = select(func.max(columns.seq)).where(*where).group_by(columns.partition)
    query = select(schema.attempts).where(columns.seq.in_(last), *([columns.end.is_(None)] if is_open else []))
    with ledger.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return {row["partition"]: Attempt(row["at"], AttemptRecord(**{name: row[name] for name in COLUMNS})) for row in rows}


def current_contents(ledger: Ledger, product: str) -> dict[str, str]:
    """The content of each partition whose newest attempt made it current: in one query, as there may be many."""
    columns = schema.attempts.c
    last = select(func.max(columns.seq)).where(columns.product == product).group_by(columns.partition)
    query = select(columns.partition, columns.content).where(columns.seq.in_(last), columns.end == "current")
    with ledger.engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query).all()}


def read_deliveries(ledger: Ledger, product: str, partitions: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """The digest of each delivered file that the current raw of a partition was read from, by partition and table."""
    published, manifests, inputs = schema.publications.c, schema.manifests.c, schema.inputs.c
    last = (
        select(func.max(published.seq))
        .where(published.product == product, published.stage == "raw")
        .where(*([published.partition.in_(partitions)] if partitions else []))
        .group_by(published.partition)
    )
    query = (
        select(published.partition, inputs.asset, inputs.data_version)
        .join(schema.manifests, manifests.id == published.manifest)
        .join(schema.inputs, inputs.consumer == manifests.seq)
        .where(published.seq.in_(last))
    )
    files: dict[str, dict[str, str]] = {}
    with ledger.engine.connect() as connection:
        for row in connection.execute(query):
            files.setdefault(row.partition, {})[row.asset.rpartition("/")[2]] = row.data_version
    return files
