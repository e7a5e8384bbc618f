"""The ledger's graph, kept in a file of the cache: a ledger only grows, so what was read once is only added to.

The file is used only while it is whole and the ledger still holds the very entry that it was read up to.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from ml_assets.core.digests import sha256
from ml_assets.core.lineage.graph import ID_BYTES, Adjacency, Graph
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger
from resources.store.blobs import write_atomically

DIGEST_LENGTH = 64
_KINDS = (np.int32, np.int32, np.int32, np.uint8, np.int32, np.int32, np.int32, np.int32)


@dataclass(frozen=True)
class CachedGraph:
    """A graph of all manifests up to the entry `seq`, whose hash is `hash`."""

    graph: Graph
    seq: int
    hash: str


def open_graph(ledger: Ledger, cache: Path) -> Graph:
    """The graph of the ledger as it is now; `cache` is the file that keeps it."""
    kept = _read(cache)
    with ledger.engine.connect() as connection:
        if kept is None or _hash(connection, kept.seq) != kept.hash:
            kept = CachedGraph(Graph.empty(), 0, "")
        newer = _extend(connection, kept)
    if newer is not kept:
        write_atomically(cache, _content(newer))
    return newer.graph


def _hash(connection: Connection, seq: int) -> str | None:
    return connection.scalar(select(schema.entries.c.hash).where(schema.entries.c.seq == seq))


def _extend(connection: Connection, kept: CachedGraph) -> CachedGraph:
    """Add the manifests after the kept ones; the same value where there are none."""
    m, i, e = schema.manifests.c, schema.inputs.c, schema.entries.c
    newest = select(e.seq, e.hash).join(schema.manifests, m.seq == e.seq).order_by(m.seq.desc()).limit(1)
    head = connection.execute(newest).first()
    if head is None or head.seq <= kept.seq:
        return kept
    nodes = select(m.seq, m.id, m.product + "/" + m.stage, m.partition).where(m.seq > kept.seq, m.seq <= head.seq)
    edges = select(i.consumer, i.producer).where(i.consumer > kept.seq, i.consumer <= head.seq, i.producer.is_not(None))
    rows = [(row[0], row[1], row[2], row[3]) for row in connection.execute(nodes.order_by(m.seq))]
    pairs = [(row[0], row[1]) for row in connection.execute(edges)]
    return CachedGraph(kept.graph.extended(rows, pairs), head.seq, head.hash)


def _content(kept: CachedGraph) -> bytes:
    """A digest of all that follows; a line of JSON; the arrays, one after another."""
    graph = kept.graph
    edges = (graph.up.first, graph.up.to, graph.down.first, graph.down.to)
    arrays: list[NDArray[Any]] = [graph.seqs, graph.assets, graph.partitions, graph.ids, *edges]
    header = {"seq": kept.seq, "hash": kept.hash, "names": graph.names, "keys": graph.keys}
    line = json.dumps({**header, "sizes": [array.size for array in arrays]}).encode()
    padding = b" " * (-(DIGEST_LENGTH + len(line) + 1) % 8)  # arrays begin where a processor likes them to
    rest = b"".join([line, padding, b"\n", *(array.tobytes() for array in arrays)])
    return sha256(rest).encode() + rest


def _read(path: Path) -> CachedGraph | None:
    """The content of the file; None where it is missing or any of its bytes changed."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if content[:DIGEST_LENGTH] != sha256(content[DIGEST_LENGTH:]).encode():
        return None
    end = content.index(b"\n")
    header = json.loads(content[DIGEST_LENGTH:end])
    arrays: list[NDArray[Any]] = []
    at = end + 1
    for size, kind in zip(header["sizes"], _KINDS, strict=True):
        arrays.append(np.frombuffer(content, kind, size, at))
        at += arrays[-1].nbytes
    seqs, assets, partitions, ids, *edges = arrays
    words = {"names": tuple(header["names"]), "keys": tuple(header["keys"])}
    up, down = Adjacency(*edges[:2]), Adjacency(*edges[2:])
    graph = Graph(seqs, assets, partitions, ids.reshape(-1, ID_BYTES), **words, up=up, down=down)
    return CachedGraph(graph, header["seq"], header["hash"])
