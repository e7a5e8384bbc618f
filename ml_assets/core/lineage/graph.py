"""The graph of manifests as integer arrays: what is reached from a node, in either direction, however large it is. Pure.

Nodes are numbered in the order of the ledger, so every edge goes from a lower number to a higher one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
ID_BYTES = 32


@dataclass(frozen=True)
class Adjacency:
    """The neighbours of node n are `to[first[n]:first[n + 1]]`."""

    first: Ints
    to: Ints

    @classmethod
    def of(cls, nodes: int, source: Ints, target: Ints) -> "Adjacency":
        """From edges in any order."""
        order = np.argsort(source, kind="stable")
        first = np.zeros(nodes + 1, np.int32)
        np.cumsum(np.bincount(source, minlength=nodes), out=first[1:])
        return cls(first, target[order].astype(np.int32))

    def sources(self) -> Ints:
        """The node that each entry of `to` is a neighbour of."""
        return np.repeat(np.arange(len(self.first) - 1, dtype=np.int32), np.diff(self.first))

    def reached(self, starts: Sequence[int]) -> Ints:
        """The nodes that can be reached from any of these, and these; in order. One pass, however deep the graph."""
        from scipy.sparse import csr_matrix
        from scipy.sparse.csgraph import breadth_first_order

        nodes = len(self.first) - 1
        first = np.append(self.first, np.int32(len(self.to) + len(starts)))  # one more node, that leads to all starts
        to = np.append(self.to, np.asarray(starts, np.int32))
        graph: Any = csr_matrix((np.ones(len(to)), to, first), shape=(nodes + 1, nodes + 1))
        visited = breadth_first_order(graph, nodes, directed=True, return_predecessors=False)
        return np.sort(visited[1:]).astype(np.int32)


@dataclass(frozen=True)
class Graph:
    """`seqs` are the nodes' entries in the ledger; `assets` and `partitions` index `names` and `keys`; `ids` are bytes.

    `up`: what a node was made from; `down`: what was made from it.
    """

    seqs: Ints
    assets: Ints
    partitions: Ints
    ids: NDArray[np.uint8]
    names: tuple[str, ...]
    keys: tuple[str, ...]
    up: Adjacency
    down: Adjacency

    @classmethod
    def empty(cls) -> "Graph":
        """Return a graph without nodes."""
        none, no_edges = np.empty(0, np.int32), Adjacency(np.zeros(1, np.int32), np.empty(0, np.int32))
        return cls(none, none, none, np.empty((0, ID_BYTES), np.uint8), (), (), no_edges, no_edges)

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.seqs)

    def node(self, seq: int) -> int | None:
        """The node of a manifest's entry."""
        at = int(np.searchsorted(self.seqs, seq))
        return at if at < len(self.seqs) and self.seqs[at] == seq else None

    def hex_ids(self, nodes: Ints) -> list[str]:
        """Return the ids of the nodes, in hexadecimal."""
        text = self.ids[nodes].tobytes().hex()
        return [text[at : at + 2 * ID_BYTES] for at in range(0, len(text), 2 * ID_BYTES)]

    def by_asset(self, nodes: Ints) -> dict[str, Ints]:
        """The nodes by asset, both in order."""
        assets = self.assets[nodes]
        return {self.names[asset]: nodes[assets == asset] for asset in np.unique(assets).tolist()}

    def keys_of(self, nodes: Ints) -> list[str]:
        """The partition of each node."""
        keys = self.keys
        return [keys[partition] for partition in self.partitions[nodes].tolist()]

    def edges_between_assets(self, nodes: Ints) -> dict[tuple[str, str], int]:
        """The number of edges among these nodes from one asset to another: {(read, reader): count}."""
        is_selected = np.zeros(len(self), bool)
        is_selected[nodes] = True
        readers, read, width = self.up.sources(), self.up.to, len(self.names)
        inside = is_selected[readers] & is_selected[read]
        codes = self.assets[read[inside]] * width + self.assets[readers[inside]]
        counts = np.bincount(codes, minlength=width * width)
        edge_counts = [(int(code), int(counts[code])) for code in np.flatnonzero(counts)]
        return {(self.names[code // width], self.names[code % width]): count for code, count in edge_counts}

    def extended(self, rows: Sequence[tuple[int, str, str, str]], edges: Sequence[tuple[int, int]]) -> "Graph":
        """With later manifests, each (seq, id, asset, partition) in order, and their edges as (consumer, producer) seqs."""
        names, assets = _encode(self.names, [row[2] for row in rows])
        keys, partitions = _encode(self.keys, [row[3] for row in rows])
        seqs = np.concatenate([self.seqs, np.array([row[0] for row in rows], np.int32)])
        ids = np.frombuffer(bytes.fromhex("".join(row[1] for row in rows)), np.uint8).reshape(-1, ID_BYTES)
        pairs = np.array(edges, np.int32).reshape(-1, 2)
        consumers = np.concatenate([self.up.sources(), np.searchsorted(seqs, pairs[:, 0])]).astype(np.int32)
        producers = np.concatenate([self.up.to, np.searchsorted(seqs, pairs[:, 1])]).astype(np.int32)
        return Graph(
            seqs,
            np.concatenate([self.assets, assets]),
            np.concatenate([self.partitions, partitions]),
            np.concatenate([self.ids, ids]),
            names,
            keys,
            Adjacency.of(len(seqs), consumers, producers),
            Adjacency.of(len(seqs), producers, consumers),
        )


def _encode(words: tuple[str, ...], values: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    """The values as numbers, and the words that the numbers refer to; known words keep theirs."""
    numbers = {word: number for number, word in enumerate(words)}
    codes = np.fromiter((numbers.setdefault(value, len(numbers)) for value in values), np.int32, len(values))
    return tuple(numbers), codes
