"""The entries before those that `verify --new` reads: that they are in the ledger that was verified, what the new ones build on,
and what new erasures erased. They are trusted to be what they were when they were verified."""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select

from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.records import ManifestRecord
from ml_assets.services.verify.memory import VerifiedUpTo
from resources.ledger import tables as schema
from resources.ledger.chain import Entry
from resources.ledger.database import LedgerRefused, open_read_only
from resources.ledger.identity import identity
from resources.ledger.index import MOST_VARIABLES
from resources.ledger.records import read


class NotAsVerified(Exception):
    """The ledger is not the one that was verified, or its verified end is no longer in the chain: all of it has to be read."""


def open_as_verified(url: str) -> Engine:
    """The ledger, which is not written. Raises NotAsVerified where it is not there or cannot be read."""
    try:
        return open_read_only(url)
    except LedgerRefused as error:
        raise NotAsVerified(str(error)) from None


def require_same(connection: Connection, point: VerifiedUpTo) -> None:
    """Raise NotAsVerified unless this is the ledger that was verified, up to this entry."""
    if identity(connection) != point.ledger:
        raise NotAsVerified("the ledger is another one than was verified")
    if hash_of(connection, point.seq) != point.hash:
        raise NotAsVerified(f"entry {point.seq}, the last one that was verified, is no longer what it was")


def hash_of(connection: Connection, seq: int) -> str | None:
    """The hash that an entry has by its row."""
    return connection.scalar(select(schema.entries.c.hash).where(schema.entries.c.seq == seq))


def bring_along(source: Connection, target: Connection, entry: Entry, *, last: int) -> None:
    """Copy what a manifest's entry refers to among the verified entries, up to the last of them, into the new database. Raises
    EntryMalformed and KeyError."""
    if entry.kind != "manifest":
        return
    manifest = Manifest.from_dict(read(entry, ManifestRecord).body.manifest)
    ids, columns = [manifest.id, *(i.manifest for i in manifest.recipe.inputs if i.manifest)], schema.manifests.c
    for first in range(0, len(ids), MOST_VARIABLES):
        some = columns.id.in_(ids[first : first + MOST_VARIABLES])
        known: set[str] = set(target.scalars(select(columns.id).where(some)))
        rows = source.execute(select(schema.manifests).where(some, columns.seq <= last)).mappings()
        if missing := [dict(row) for row in rows if row["id"] not in known]:
            target.execute(insert(schema.manifests), missing)


def erased_before(connection: Connection, last: int) -> list[Any]:
    """The rows of verified entries, up to the last of them, that later entries say are erased."""
    columns = schema.entries.c
    query = select(columns.body).where(columns.kind == "erasure", columns.seq > last)
    bodies: list[str] = list(connection.scalars(query))
    seqs = {seq for body in bodies for seq in _erased(body) if seq <= last}
    return list(connection.execute(select(schema.entries).where(columns.seq.in_(seqs)).order_by(columns.seq)))


def _erased(body: Any) -> Iterator[int]:
    try:
        seq = json.loads(body)["seq"]
    except (ValueError, TypeError, KeyError):
        return
    if type(seq) is int:
        yield seq


def moves_before(connection: Connection, last: int) -> list[Any]:
    """The rows of the newest verified move of each endpoint, and of every word about a shadow, up to the last verified entry."""
    pointers, columns = schema.pointers.c, schema.entries.c
    newest = select(func.max(pointers.seq)).where(pointers.seq <= last).group_by(pointers.product, pointers.environment)
    where = columns.seq.in_(newest) | ((columns.kind == "shadow") & (columns.seq <= last))
    return list(connection.execute(select(schema.entries).where(where).order_by(columns.seq)))


def served_before(connection: Connection, last: int) -> set[tuple[str, str, str, str]]:
    """Product, environment, since when and bundle of every verified move."""
    pointers, columns = schema.pointers.c, schema.entries.c
    query = select(pointers.product, pointers.environment, columns.at, pointers.release)
    joined = query.join(schema.entries, columns.seq == pointers.seq).where(pointers.seq <= last)
    return {(row[0], row[1], row[2], row[3]) for row in connection.execute(joined)}
