"""Lineage and impact in a ledger of 100,000 manifests and a million edges, next to SQL's own recursion as the reference.

The ledger is the path of one daily product over 45 years, written through the real schema with its hash chain.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from benchmarks.homes.bulk import Bulk
from benchmarks.tables import table
from ml_assets.core.digests import sha256
from ml_assets.core.lineage.manifests import Input, Manifest, Recipe
from ml_assets.services.audit.ledger_graph import open_graph
from resources.ledger import tables as schema
from resources.ledger.ledger import Ledger

PRODUCT = "synthetic"
STAGES = ("raw", "dataset", "features", "model", "evaluation", "release")
DAYS = 100_000 // len(STAGES) + 1
WINDOW = 53
CHUNK_DAYS = 500
FILES = {"ledger": "ledger.db", "cache": "graph"}
RECURSION = {
    "lineage": "WITH RECURSIVE reached(seq) AS (SELECT {0} UNION SELECT producer FROM inputs JOIN reached ON consumer = seq"
    " WHERE producer IS NOT NULL) SELECT count(*) FROM reached JOIN manifests USING (seq)",
    "impact": "WITH RECURSIVE reached(seq) AS (SELECT {0} UNION SELECT consumer FROM inputs JOIN reached ON producer = seq)"
    " SELECT count(*) FROM reached JOIN manifests USING (seq)",
}


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """Milliseconds of each question; `months` is of no use here."""
    with tempfile.TemporaryDirectory() as folder:
        ledger, cache = Ledger(f"sqlite:///{folder}/ledger.db"), Path(folder) / "graph"
        seconds_to_write = _seconds(lambda: fill(ledger))
        built = _seconds(lambda: open_graph(ledger, cache))
        results: dict[str, Any] = {"seconds_to_write": seconds_to_write, "seconds_to_build": built, **_size(ledger, Path(folder))}
        results |= {name: _question(ledger, cache, name, runs) for name in RECURSION}
        ledger.close()
    return results


def text(results: dict[str, Any]) -> str:
    """The table."""
    header = ["milliseconds, median", "nodes", "from its cache", "graph in memory", "recursive SQL", "ratio"]
    rows = []
    for name in RECURSION:
        took = results[name]
        times = [took["cold_ms"], took["warm_ms"], took["recursion_ms"]]
        rows.append([f"{name} of the largest answer", took["nodes"], *times, took["recursion_ms"] / took["cold_ms"]])
    megabytes = f"ledger {results['ledger_mb']} MB, cache {results['cache_mb']} MB"
    size = f"{results['manifests']} manifests, {results['inputs']} edges, {megabytes}"
    summary = f"{size}; written in {results['seconds_to_write']:.0f} s, graph first built in {results['seconds_to_build']:.1f} s"
    note = "from its cache: the file's digest, and the ledger entry that it ends with, are checked; imports are left out"
    return f"{summary}\n\n{table(header, rows)}\n\n{note}"


def _question(ledger: Ledger, cache: Path, name: str, runs: int) -> dict[str, Any]:
    """Ask about the node with the largest answer: the last release's lineage, the first partition's impact."""
    order = schema.manifests.c.seq.desc() if name == "lineage" else schema.manifests.c.seq.asc()
    with ledger.engine.connect() as connection:
        seq: int = connection.execute(select(schema.manifests.c.seq).order_by(order).limit(1)).scalar_one()

        def recursion() -> int:
            return int(connection.exec_driver_sql(RECURSION[name].format(seq)).scalar_one())

        graph = open_graph(ledger, cache)
        answers: dict[str, Callable[[], int]] = {
            "cold": lambda: _answer(open_graph(ledger, cache), seq, name),
            "warm": lambda: _answer(graph, seq, name),
            "recursion": recursion,
        }
        counts = {name: answer() for name, answer in answers.items()}
        if len(set(counts.values())) != 1:
            raise AssertionError(counts)
        took = {name: statistics.median(_seconds(answer) for _ in range(runs)) * 1000 for name, answer in answers.items()}
    return {"nodes": counts["cold"], **{f"{name}_ms": value for name, value in took.items()}}


def _answer(graph: Any, seq: int, name: str) -> int:
    """All that a picture or a list needs: every node's id, asset and partition, and the edges between assets."""
    node = graph.node(seq)
    nodes = (graph.up if name == "lineage" else graph.down).reached([node])
    ids, edges = graph.hex_ids(nodes), graph.edges_between_assets(nodes)
    labels = {asset: graph.keys_of(nodes_of_asset) for asset, nodes_of_asset in graph.by_asset(nodes).items()}
    if not (len(ids) == sum(map(len, labels.values())) and edges):
        raise AssertionError(name)
    return len(nodes)


def _seconds(act: Callable[[], Any]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _size(ledger: Ledger, folder: Path) -> dict[str, int]:
    with ledger.engine.connect() as connection:
        counts: dict[str, int] = {
            t.name: connection.exec_driver_sql(f"SELECT count(*) FROM {t.name}").scalar_one() for t in _tables()
        }
    return {
        **counts,
        "ledger_mb": (folder / "ledger.db").stat().st_size >> 20,
        "cache_mb": (folder / "graph").stat().st_size >> 20,
    }


def _tables() -> Sequence[Any]:
    return (schema.manifests, schema.inputs, schema.entries)


def fill(ledger: Ledger) -> None:
    """Write the manifests with their entries and edges."""
    bulk, manifests_left = Bulk(ledger), manifests()
    while chunk := list(islice(manifests_left, CHUNK_DAYS * len(STAGES))):
        for manifest in chunk:
            bulk.manifest(manifest)
        bulk.flush()


def manifests() -> Iterator[Manifest]:
    """The path day by day: a window of features into each model, the last release as champion of each evaluation."""
    features: list[Input] = []
    champion: list[Input] = []
    datasets: list[Input] = []
    for day in np.datetime64("2013-01-01") + np.arange(DAYS):
        key = str(day)
        raw = _manifest("raw", key, [Input(f"landing/{PRODUCT}/rows", key, sha256(key.encode()))])
        dataset = _manifest("dataset", key, [raw.as_input()])
        datasets = [*datasets[-1:], dataset.as_input()]
        feature = _manifest("features", key, datasets)
        model = _manifest("model", key, features[-WINDOW:])
        evaluation = _manifest("evaluation", key, [model.as_input(), feature.as_input(), *champion])
        release = _manifest("release", key, [model.as_input(), evaluation.as_input(), feature.as_input()])
        features = [*features[-WINDOW:], feature.as_input()]
        champion = [release.as_input()]
        yield from (raw, dataset, feature, model, evaluation, release)


def _manifest(stage: str, key: str, inputs: Sequence[Input]) -> Manifest:
    digest = sha256(f"{stage} {key}".encode())
    code, config, environment = (sha256(f"{stage} {name}".encode()) for name in ("code", "config", "environment"))
    recipe = Recipe(PRODUCT, stage, key, code=code, config=config, environment=environment, inputs=tuple(inputs))
    return Manifest(recipe, digest, digest)
