"""An auditor's questions to the ledger: what was this made from, and what was made from it. The answers are JSON values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from ml_assets.core.lineage.facts import ReleaseFacts
from ml_assets.core.lineage.graph import Graph, Ints
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.release.records import MoveRecord
from ml_assets.services.audit.ledger_graph import open_graph
from resources.ledger import tables as schema
from resources.ledger.decisions import Decisions, by_subject
from resources.ledger.index import MOST_VARIABLES
from resources.ledger.ledger import Entry, Ledger, entries_where
from resources.ledger.recalls import recalls
from resources.ledger.records import read
from resources.ledger.triggers import triggers

Answer = dict[str, Any]
Counts = Mapping[tuple[str, str], int]
"""Predictions by release and environment."""


@dataclass(frozen=True)
class AuditSubject:
    """`seqs`: entries of the manifests that it is, or, of `delivered` bytes, of those that read them first."""

    product: str
    asset: str
    partition: str
    seqs: tuple[int, ...]
    manifest: Manifest | None = None
    delivered: str | None = None
    prediction: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a plain value."""
        named = {"asset": self.asset, "partition": self.partition}
        if self.delivered:
            return {**named, "delivered_sha256": self.delivered}
        is_release = self.manifest is not None and self.manifest.recipe.stage == "release"
        release = ReleaseFacts.of(self.manifest).release if self.manifest and is_release else None
        payload = {**named, "manifest": self.manifest.id if self.manifest else None, "release": release}
        return {**payload, "prediction": dict(self.prediction) if self.prediction else None}


@dataclass(frozen=True)
class Audit:
    """Reads one ledger. `subject` is what is asked about; the graph of the manifests is kept in `cache`."""

    ledger: Ledger
    cache: Path
    subject: AuditSubject

    def graph(self) -> Graph:
        """The graph of all manifests, brought up to date with the ledger."""
        return open_graph(self.ledger, self.cache / "graph")

    def lineage(self) -> Answer:
        """Every manifest that the subject was made from, with all that decided it and all that was shown about it."""
        graph = self.graph()
        reached = graph.up.reached(self._starts(graph))
        with self.ledger.engine.connect() as connection:
            manifests = _entries(connection, graph.seqs[reached].tolist())
            checks = _checks(connection, [entry.body["id"] for entry in manifests])
            moves = _moves(connection, [entry.body["manifest"]["snapshot"] for entry in manifests])
        decisions = by_subject(Decisions(self.ledger).history())
        nodes = [_node(entry, checks, moves, decisions) for entry in manifests]
        self._add_recalls(nodes)
        self._add_triggers(nodes)
        return {"question": "lineage", "subject": self.subject.to_dict(), "manifests": nodes}

    def impact(self, predictions: Counts) -> Answer:
        """Every manifest that was made from the subject, the releases among them, those that serve now, and the predictions."""
        graph = self.graph()
        reached = graph.down.reached(self._starts(graph))
        product = self.subject.product
        with self.ledger.engine.connect() as connection:
            current_ids = _current_ids(connection, product)
            releases = self._releases(connection, graph, reached, predictions)
        by_asset = graph.by_asset(reached)
        used = {asset: _used(graph, nodes, current_ids) for asset, nodes in by_asset.items()}
        edges = [{"from": a, "to": b, "count": n} for (a, b), n in graph.edges_between_assets(reached).items()]
        serving = self._serving({release["manifest"] for release in releases})
        total = sum(sum(release["predictions"].values()) for release in releases)
        payload = {"releases": releases, "answers": serving, "predictions": total, "manifests": used, "edges": edges}
        return {"question": "impact", "subject": self.subject.to_dict(), **payload}

    def _starts(self, graph: Graph) -> list[int]:
        nodes = (graph.node(seq) for seq in self.subject.seqs)
        return [node for node in nodes if node is not None]

    def _add_recalls(self, nodes: Sequence[Answer]) -> None:
        """Say of each raw partition and release whether it was recalled, and why."""
        known = {product: recalls(self.ledger, product) for product in {n["asset"].partition("/")[0] for n in nodes}}
        for node in nodes:
            product, _, stage = node["asset"].partition("/")
            delivered = {given["asset"]: given["data_version"] for given in node["inputs"]}
            for recall in known[product]:
                is_this = recall.release == node["snapshot"] if recall.what == "release" else stage == "raw"
                if is_this and (recall.what == "release" or recall.delivered == delivered):
                    node["recalled"] = recall.description

    def _add_triggers(self, nodes: Sequence[Answer]) -> None:
        """Say of each model what asked for its training, unless a person ran it."""
        products = {node["asset"].partition("/")[0] for node in nodes}
        why = {entry.body.run: entry.body.why for product in products for entry in triggers(self.ledger, product)}
        for node in nodes:
            if node["asset"].endswith("/model") and node["run"] in why:
                node["trained_because"] = why[node["run"]]

    def _releases(self, connection: Connection, graph: Graph, reached: Ints, counts: Counts) -> list[Answer]:
        nodes = graph.by_asset(reached).get(f"{self.subject.product}/release")
        if nodes is None:
            return []
        releases = _entries(connection, graph.seqs[nodes].tolist())
        moves = _moves(connection, [entry.body["manifest"]["snapshot"] for entry in releases])
        return [_release(entry, moves, counts) for entry in releases]

    def _serving(self, affected: set[str]) -> Answer:
        pointers = {e: self.ledger.pointer(self.subject.product, e) for e in ("staging", "production")}
        return {
            environment: {
                "release": move.body.release,
                "manifest": move.body.manifest,
                "since": move.at,
                "by": move.body.by,
                "is_affected": move.body.manifest in affected,
            }
            for environment, move in pointers.items()
            if move is not None
        }


def _entries(connection: Connection, seqs: Sequence[int]) -> list[Entry]:
    """The entries with these numbers, in order, however many."""
    entries: list[Entry] = []
    for first in range(0, len(seqs), MOST_VARIABLES):
        entries += entries_where(connection, schema.entries.c.seq.in_(seqs[first : first + MOST_VARIABLES]))
    return entries


def _checks(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Answer]]:
    """The newest evidence of each claim about these manifests, by manifest and claim."""
    columns = schema.evidence.c
    seqs: list[int] = []
    for first in range(0, len(ids), MOST_VARIABLES):
        where = columns.subject.in_(ids[first : first + MOST_VARIABLES])
        seqs += connection.scalars(select(func.max(columns.seq)).where(where).group_by(columns.subject, columns.claim))
    answers: dict[str, dict[str, Answer]] = {}
    for entry in _entries(connection, sorted(seqs)):
        body = entry.body
        answer = {"passed": body["passed"], "at": entry.at, "run": body["run"], **body["details"]}
        answers.setdefault(body["subject"], {})[body["claim"]] = answer
    return answers


def _moves(connection: Connection, snapshots: Sequence[str]) -> dict[str, list[Answer]]:
    """Every staging, promotion and rollback to these bundles: by whom, where, when and why."""
    seqs: list[int] = []
    for first in range(0, len(snapshots), MOST_VARIABLES):
        where = schema.pointers.c.release.in_(snapshots[first : first + MOST_VARIABLES])
        seqs += connection.scalars(select(schema.pointers.c.seq).where(where))
    moves: dict[str, list[Answer]] = {}
    for entry in _entries(connection, sorted(seqs)):
        move = read(entry, MoveRecord).body
        move_fields = {"environment": move.environment, "by": move.by, "reason": move.reason}
        move_fields |= {"proof": move.proof} if move.proof else {}
        moves.setdefault(move.bundle, []).append({"kind": entry.kind, "at": entry.at, **move_fields})
    return moves


def _node(entry: Entry, checks: Mapping[str, Any], moves: Mapping[str, Any], decisions: Mapping[str, Any]) -> Answer:
    manifest, recipe = entry.body["manifest"], entry.body["manifest"]["recipe"]
    node = {"manifest": entry.body["id"], "asset": f"{recipe['product']}/{recipe['stage']}", "partition": recipe["partition"]}
    node |= {"data_version": manifest["data_version"], "snapshot": manifest["snapshot"]}
    node |= {"at": entry.at, "run": entry.body["run"], "source": entry.body.get("source")}
    node |= {"seconds": entry.body.get("seconds")} | ({"asked_by": entry.body["by"]} if "by" in entry.body else {})
    node |= {name: recipe[name] for name in ("code", "config", "environment", "seed", "threads", "details")}
    node |= {"facts": manifest["facts"], "checks": checks.get(entry.body["id"], {})}
    about = [i["manifest"] for i in recipe["inputs"] if i["asset"] == f"{recipe['product']}/evaluation"]
    approvals = [
        decision for subject in (*about, entry.body["id"], manifest["snapshot"]) for decision in decisions.get(subject, [])
    ]
    return {**node, "moves": moves.get(manifest["snapshot"], []), "approvals": approvals, "inputs": recipe["inputs"]}


def _release(entry: Entry, moves: Mapping[str, Any], counts: Counts) -> Answer:
    manifest = entry.body["manifest"]
    name = manifest["facts"]["release"]
    predictions = {environment: n for (release, environment), n in sorted(counts.items()) if release == name}
    payload = {"release": name, "manifest": entry.body["id"], "partition": manifest["recipe"]["partition"], "at": entry.at}
    return {**payload, "predictions": predictions, "moves": moves.get(manifest["snapshot"], [])}


def _used(graph: Graph, nodes: Ints, current_ids: set[str]) -> list[Answer]:
    rows: Iterable[tuple[str, str]] = zip(graph.keys_of(nodes), graph.hex_ids(nodes), strict=True)
    return [{"partition": partition, "manifest": id, "is_current": id in current_ids} for partition, id in rows]


def _current_ids(connection: Connection, product: str) -> set[str]:
    """The current manifests of their assets and partitions."""
    columns = schema.publications.c
    newest = select(func.max(columns.seq)).where(columns.product == product).group_by(columns.stage, columns.partition)
    return set(connection.scalars(select(columns.manifest).where(columns.seq.in_(newest))))
