"""The current manifest of each asset of a product, read from the ledger for a plan: few queries, however many partitions.

Rows are taken as the database's driver gives them: a plan looks at hundreds of thousands.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Select, case, func, or_, select

from ml_assets.core.lineage.planning import Asset, CurrentManifest, Definition
from ml_assets.core.lineage.reopenings import DECISIONS
from ml_assets.core.release.promotion import Move
from ml_assets.spec.product import Product
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger
from resources.store.blobs import Blobs, LocalBlobs
from resources.store.remote_blobs import RemoteBlobs

DeclaredKind = Literal["code", "config", "environment"]
"""All that decides a stage's output apart from its inputs."""
_ManifestRow = tuple[Asset, str, dict[Asset, str]]
"""A manifest's asset, its data version and what it read."""


@dataclass(frozen=True)
class CurrentManifests:
    """`current`: the current manifest by asset. `accepted`: the partitions whose current evaluation has newest evidence of an
    ACCEPT."""

    current: dict[Asset, CurrentManifest]
    accepted: frozenset[str]


def current_manifests(connection: Connection, product: Product, stored: Collection[str]) -> CurrentManifests:
    """The current manifests, with the digests that the store has. Manifests that were replaced are read too: a walk over a table
    costs less than to look most of it up row by row."""
    several, m = _published_last(connection, product), schema.manifests.c
    columns = (
        m.seq,
        m.stage,
        m.partition,
        m.data_version,
        case((m.snapshot != m.data_version, m.snapshot)),  # no text of its own where there is none to tell
        case((m.stage == "evaluation", m.id)),
        m.code + " " + m.config + " " + m.environment,
    )
    there = frozenset(stored)
    producers: dict[int, _ManifestRow] = {}
    definitions: dict[str, Definition] = {}
    current: dict[Asset, CurrentManifest] = {}
    evaluations: dict[str, str] = {}
    words: dict[str, str] = {}  # the driver gives each row texts of its own
    word = words.setdefault
    for seq, stage, partition, version, snapshot, id, decided in _rows(
        connection, select(*columns).where(m.product == product.name)
    ):
        asset: Asset = (word(stage, stage), word(partition, partition))
        inputs: dict[Asset, str] = {}
        producers[seq] = (asset, version, inputs)
        if several.get(asset, seq) == seq:
            if (definition := definitions.get(decided)) is None:
                definition = definitions[decided] = Definition(*decided.split(" "))
            current[asset] = CurrentManifest(definition, version, inputs, (snapshot or version) in there)
            if id is not None:
                evaluations[asset[1]] = id
    _read_inputs(connection, product, producers)
    passed = _passed(connection, product)
    accepted = frozenset(key for key, id in evaluations.items() if passed.get(id))
    return CurrentManifests(current, accepted)


def production_moves(connection: Connection, product: Product) -> list[Move]:
    """Every move in production, oldest first, without the releases' names, for which each entry would have to be parsed."""
    p, e = schema.pointers.c, schema.entries.c
    query = select(p.release, p.as_of, e.kind, p.is_proven).join(schema.entries, e.seq == p.seq).order_by(p.seq)
    rows = _rows(connection, query.where(p.product == product.name, p.environment == "production"))
    kinds: Mapping[str, Literal["promotion", "rollback"]] = {"rollback": "rollback"}
    return [Move(bundle, "", as_of, kinds.get(kind, "promotion"), bool(proven)) for bundle, as_of, kind, proven in rows]


def made_otherwise(ledger: Ledger, product: Product, stage: str, kind: DeclaredKind, now: str) -> str | None:
    """The id of the newest manifest of a stage whose code, configuration or environment has another digest than `now`."""
    m = schema.manifests.c
    query = select(m.id).where(m.product == product.name, m.stage == stage, m[kind] != now).order_by(m.seq.desc()).limit(1)
    with ledger.engine.connect() as connection:
        return connection.scalar(query)


def _published_last(connection: Connection, product: Product) -> dict[Asset, int]:
    """The manifest that was published last, by its number, for each asset that was published more than once: what was published
    once is its asset's only manifest, because recording is publishing."""
    p, m = schema.publications.c, schema.manifests.c
    last = select(func.max(p.seq)).where(p.product == product.name).group_by(p.stage, p.partition).having(func.count() > 1)
    query = select(p.stage, p.partition, m.seq).join(schema.manifests, m.id == p.manifest).where(p.seq.in_(last))
    return {(stage, partition): seq for stage, partition, seq in _rows(connection, query)}


def _read_inputs(connection: Connection, product: Product, producers: Mapping[int, _ManifestRow]) -> None:
    """Note what each manifest read: data versions by (stage, landing table or decision, partition). What an evaluation learned
    from earlier ones has no producer and is left out: it makes nothing stale."""
    i, m = schema.inputs.c, schema.manifests.c

    def of_product(*columns: Any) -> Select[Any]:
        query = select(*columns).join(schema.manifests, m.seq == i.consumer)
        return query.where(m.product == product.name)

    for consumer, producer in _rows(connection, of_product(i.consumer, i.producer).where(i.producer.is_not(None))):
        asset, version, _ = producers[producer]
        producers[consumer][2][asset] = version
    is_delivered = or_(i.asset.startswith("landing/"), i.asset.startswith(DECISIONS))
    delivered = of_product(i.consumer, i.asset, i.partition, i.data_version).where(i.producer.is_(None), is_delivered)
    for consumer, name, partition, version in _rows(connection, delivered):
        producers[consumer][2][name, partition] = version


def _passed(connection: Connection, product: Product) -> dict[str, int]:
    """Whether the gates passed, by the id of the evaluation, as the newest evidence says."""
    e, m = schema.evidence.c, schema.manifests.c
    query = select(e.subject, e.passed).join(schema.manifests, m.id == e.subject).where(m.product == product.name)
    return dict(_rows(connection, query.where(m.stage == "evaluation", e.claim == "gates_passed").order_by(e.seq)))


def _rows(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    """Row by row: what is not kept of one makes room for the next."""
    result = connection.execute(query)
    cursor: Any = result.cursor
    yield from cursor


def stored(blobs: Blobs, connection: Connection, product: Product) -> list[str]:
    """Every digest of the store, in order; of a local one the names alone, folder by folder. A remote one is listed again where
    the ledger names a snapshot that this machine has not seen in it: another machine may have made it, or it is lost."""
    if isinstance(blobs, RemoteBlobs):
        m = schema.manifests.c
        named = {digest for (digest,) in _rows(connection, select(m.snapshot).where(m.product == product.name))}
        if named <= {*(names := blobs.remembered())}:
            return names
        names = blobs.listed()
        for digest in named.difference(names):
            blobs.doubt(digest)
        return names
    if not isinstance(blobs, LocalBlobs):
        return sorted(blobs.digests())
    folders = sorted(folder for folder in blobs.root.glob("??") if folder.is_dir())
    return [name for folder in folders for name in sorted(os.listdir(folder))]  # noqa: PTH208 - names, not paths: there are many
