"""What is reached in the graph is what walking the manifests reaches; its cache is used only while it is the ledger's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.core.lineage.graph import Graph
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.services.audit.ledger_graph import open_graph
from resources.ledger.ledger import Ledger
from tests.support.records import flip, manifest

Edges = list[list[int]]


@st.composite
def parents(draw: st.DrawFn) -> Edges:
    """For each node the earlier nodes that it was made from."""
    sizes = draw(st.integers(1, 12))
    return [draw(st.lists(st.integers(0, n - 1), max_size=4)) if n else [] for n in range(sizes)]


def graph_of(made_from: Edges, *, steps: int = 1) -> Graph:
    """Node n is entry 10 * n, added in so many steps."""
    rows = [(10 * n, f"{n:064x}", f"p/{n % 3}", str(n % 4)) for n in range(len(made_from))]
    graph = Graph.empty()
    for part in np.array_split(np.arange(len(rows)), steps):
        nodes = part.tolist()
        graph = graph.extended([rows[n] for n in nodes], [(10 * n, 10 * p) for n in nodes for p in made_from[n]])
    return graph


def walked(edges: dict[int, set[int]], starts: list[int]) -> list[int]:
    """The oracle: one node after another."""
    reached, left = set(starts), list(starts)
    while left:
        new = edges.get(left.pop(), set()) - reached
        reached |= new
        left += new
    return sorted(reached)


@given(parents(), st.data())
def test_both_directions_reach_what_walking_reaches(made_from: Edges, data: st.DataObject) -> None:
    starts = data.draw(st.lists(st.integers(0, len(made_from) - 1), min_size=1, max_size=3))
    graph = graph_of(made_from)
    up = {n: set(sources) for n, sources in enumerate(made_from)}
    down = {n: {m for m, sources in enumerate(made_from) if n in sources} for n in up}
    assert graph.up.reached(starts).tolist() == walked(up, starts)
    assert graph.down.reached(starts).tolist() == walked(down, starts)


@given(parents(), st.integers(1, 4))
def test_a_graph_that_grew_is_the_graph_made_at_once(made_from: Edges, steps: int) -> None:
    grown, whole = graph_of(made_from, steps=steps), graph_of(made_from)
    nodes = np.arange(len(made_from), dtype=np.int32)
    for one in (grown, whole):
        assert [one.node(10 * n) for n in nodes.tolist()] == nodes.tolist()
        assert one.node(5) is None
        assert one.hex_ids(nodes) == [f"{n:064x}" for n in nodes.tolist()]
        assert one.keys_of(nodes) == [str(n % 4) for n in nodes.tolist()]
        assert {a: nodes.tolist() for a, nodes in one.by_asset(nodes).items()} == {
            f"p/{k}": [n for n in nodes.tolist() if n % 3 == k] for k in range(min(3, len(nodes)))
        }
    for side in ("up", "down"):
        assert edges(grown, side) == edges(whole, side)


def edges(graph: Graph, side: str) -> list[tuple[int, int]]:
    adjacency = getattr(graph, side)
    return sorted(zip(adjacency.sources().tolist(), adjacency.to.tolist(), strict=True))


@given(parents(), st.data())
def test_edges_between_assets_are_counted_among_the_nodes_asked_for_alone(made_from: Edges, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.integers(0, len(made_from) - 1), min_size=1))
    expected: dict[tuple[str, str], int] = {}
    for node in chosen:
        for parent in [p for p in made_from[node] if p in chosen]:
            pair = (f"p/{parent % 3}", f"p/{node % 3}")
            expected[pair] = expected.get(pair, 0) + 1
    assert graph_of(made_from).edges_between_assets(np.array(sorted(chosen), np.int32)) == expected


def test_a_chain_of_a_hundred_thousand_is_as_quick_as_a_star() -> None:
    rows = [(n, f"{n:064x}", "p/s", "") for n in range(100_000)]
    chain = Graph.empty().extended(rows, [(n, n - 1) for n in range(1, 100_000)])
    assert len(chain.up.reached([99_999])) == len(chain.down.reached([0])) == 100_000


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    own_ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    yield own_ledger
    own_ledger.close()


def publish(ledger: Ledger, *path: str, after: Manifest | None = None) -> list[Manifest]:
    """Manifests of these names, each made from the one before."""
    manifests: list[Manifest] = []
    for name in path:
        before = manifests[-1] if manifests else after
        manifests.append(manifest(name, stage=name, inputs=[before.as_input()] if before else []))
        ledger.publish(manifests[-1], run="r")
    return manifests


def ancestors(graph: Graph) -> list[str]:
    return graph.hex_ids(graph.up.reached([len(graph) - 1]))


def test_a_cache_grows_with_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "graph"
    assert len(open_graph(ledger, cache)) == 0
    assert not cache.exists()
    first = publish(ledger, "raw", "dataset")
    assert ancestors(open_graph(ledger, cache)) == [m.id for m in first]
    kept = cache.read_bytes()
    ledger.append("refusal", {})
    assert ancestors(open_graph(ledger, cache)) == [m.id for m in first]
    assert cache.read_bytes() == kept
    more = publish(ledger, "features", "model", after=first[-1])
    assert ancestors(open_graph(ledger, cache)) == [m.id for m in first + more]
    assert cache.read_bytes() != kept


def test_a_cache_of_another_ledger_is_made_again(ledger: Ledger, tmp_path: Path) -> None:
    cache = tmp_path / "graph"
    publish(ledger, "raw", "dataset", "features")
    open_graph(ledger, cache)
    other = Ledger(f"sqlite:///{tmp_path}/other.db")
    release = publish(other, "model", "raw", "release")
    assert ancestors(open_graph(other, cache)) == [m.id for m in release]
    other.close()
    shorter = Ledger(f"sqlite:///{tmp_path}/shorter.db")
    release = publish(shorter, "raw")
    assert ancestors(open_graph(shorter, cache)) == [m.id for m in release]
    shorter.close()


def test_a_cache_with_any_byte_changed_or_cut_off_is_made_again(ledger: Ledger, tmp_path: Path) -> None:
    cache = tmp_path / "graph"
    expected = [m.id for m in publish(ledger, "raw", "dataset")]
    open_graph(ledger, cache)
    whole = cache.read_bytes()
    for at in range(0, len(whole), 7):
        cache.write_bytes(flip(whole, at=at, by=1))
        assert ancestors(open_graph(ledger, cache)) == expected
        assert cache.read_bytes() == whole
    for length in (0, 1, 63, 64, 65, len(whole) - 1):
        cache.write_bytes(whole[:length])
        assert ancestors(open_graph(ledger, cache)) == expected
