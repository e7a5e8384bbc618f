"""The tables that are made from the entries: what each entry adds to them. Does not belong here: the entries themselves."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, insert, select

from ml_assets.core.gates.records import AskedRecord
from ml_assets.core.lineage.attempts import AttemptRecord
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.records import EvidenceRecord, ManifestRecord, PublicationRecord
from ml_assets.core.release.records import MoveRecord
from resources.ledger import tables as schema
from resources.ledger.chain import Entry
from resources.ledger.records import read

MOST_VARIABLES = 10_000


def add_rows(connection: Connection, entry: Entry) -> None:
    """Write what the entry adds to the index tables. Raises EntryNewer or EntryMalformed."""
    match entry.kind:
        case "manifest":
            _index_manifest(connection, entry)
        case "publication":
            published = read(entry, PublicationRecord).body
            row = {name: getattr(published, name) for name in ("product", "stage", "partition", "manifest")}
            connection.execute(insert(schema.publications).values(seq=entry.seq, **row))
        case "evidence":
            shown = read(entry, EvidenceRecord).body
            row = {"subject": shown.subject, "claim": shown.claim, "passed": int(shown.passed)}
            connection.execute(insert(schema.evidence).values(seq=entry.seq, **row))
        case "look" | "verdict":
            look = read(entry, AskedRecord).body
            row = {"product": look.product, "window": schema.window_key(look.window), "comparison": look.comparison}
            connection.execute(insert(schema.looks).values(seq=entry.seq, **row))
        case "promotion" | "staging" | "rollback":
            move = read(entry, MoveRecord).body
            row = {"product": move.product, "environment": move.environment, "release": move.bundle, "as_of": move.as_of}
            connection.execute(insert(schema.pointers).values(seq=entry.seq, is_proven=int(move.is_proven), **row))
        case "attempt":
            attempt = read(entry, AttemptRecord).body
            connection.execute(insert(schema.attempts).values(seq=entry.seq, at=entry.at, **msgspec.structs.asdict(attempt)))


def _index_manifest(connection: Connection, entry: Entry) -> None:
    manifest = Manifest.from_dict(read(entry, ManifestRecord).body.manifest)
    recipe = manifest.recipe
    row = {"id": manifest.id, "key": recipe.key, "seq": entry.seq, **asset_of(manifest)}
    versions = {"data_version": manifest.data_version, "snapshot": manifest.snapshot}
    decided = {"code": recipe.code, "config": recipe.config, "environment": recipe.environment}
    connection.execute(insert(schema.manifests).values(**row, **versions, **decided))
    if recipe.inputs:
        producers = _seqs(connection, [i.manifest for i in recipe.inputs if i.manifest])
        rows = [
            {"asset": i.asset, "partition": i.partition, "data_version": i.data_version}
            | {"consumer": entry.seq, "producer": producers[i.manifest] if i.manifest else None}
            for i in recipe.inputs
        ]
        connection.execute(insert(schema.inputs), rows)


def _seqs(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """The entry of each of these manifests, in as few queries as SQLite's limit on variables asks for."""
    seqs: dict[str, int] = {}
    for first in range(0, len(ids), MOST_VARIABLES):
        columns = schema.manifests.c
        query = select(columns.id, columns.seq).where(columns.id.in_(ids[first : first + MOST_VARIABLES]))
        seqs.update((row.id, row.seq) for row in connection.execute(query))
    return seqs


def asset_of(manifest: Manifest) -> dict[str, str]:
    """Product, stage and partition of what it is a snapshot of."""
    return {"product": manifest.recipe.product, "stage": manifest.recipe.stage, "partition": manifest.partition}
