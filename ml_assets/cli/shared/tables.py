"""The state of partitions and releases, as rows and as a text table."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.facts import CountedFacts, EvaluationFacts, ReleaseFacts
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.spec.product import Product
from resources.ledger.partition_reads import current_manifests


def rows(space: Workspace, product: Product, keys: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The ledger's record of these partitions, of all that were read without `keys`, in order; None where a stage has none."""
    counts: dict[str, dict[str, int | None]] = {"raw": {}, "quarantine": {}}
    releases: dict[str, str] = {}
    evaluated: dict[str, dict[str, Any]] = {}
    for stage, known in counts.items():
        for manifest in current_manifests(space.ledger, product.name, stage):
            known[manifest.partition] = CountedFacts.of(manifest).count
    for manifest in current_manifests(space.ledger, product.name, "release"):
        releases[manifest.partition] = ReleaseFacts.of(manifest).release
    for manifest in current_manifests(space.ledger, product.name, "evaluation"):
        evaluated[manifest.partition] = _evaluated(product, manifest)
    trained, none = set(space.ledger.partitions(product.name, "model")), {"candidate": None, "champion": None, "verdict": None}
    return [
        {
            "partition": key,
            "rows": counts["raw"].get(key),
            "quarantined": counts["quarantine"].get(key),
            "metric": product.gates.metric,
            "is_trained": key in trained,
            "release": releases.get(key),
            **evaluated.get(key, none),
        }
        for key in (sorted(counts["raw"]) if keys is None else keys)
    ]


def _evaluated(product: Product, manifest: Manifest) -> dict[str, Any]:
    """What an evaluation found of candidate and champion, and its verdict."""
    evaluation = EvaluationFacts.of(manifest)
    measured: dict[str, Any] = msgspec.to_builtins(evaluation.metrics.get(product.gates.metric, {}))
    return {
        "candidate": measured.get("candidate"),
        "champion": measured.get("champion"),
        "verdict": evaluation.verdict.decision,
    }


def table(product: Product, states: list[dict[str, Any]], serving: dict[str, str] | None = None) -> str:
    """The rows as a text table; with `serving`, a column of the release that served after each partition."""
    metric = product.gates.metric
    header = ["partition", "rows", "quarantined", f"{metric} candidate", f"{metric} champion", "verdict"]
    header += ["serves" if serving is not None else "release"]
    lines = [
        [
            r["partition"],
            _count(r["rows"]),
            _count(r["quarantined"]),
            _interval(r["candidate"]),
            _interval(r["champion"]),
            r["verdict"] or ("not asked" if r["is_trained"] else "no candidate"),
            (serving.get(r["partition"], "") if serving is not None else r["release"]) or "no one",
        ]
        for r in states
    ]
    return columns([header, *lines])


def columns(lines: list[list[str]]) -> str:
    """Lines of cells as a text table; the first is its header."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([shown[0], "  ".join("-" * width for width in widths), *shown[1:]])


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _interval(estimate: dict[str, Any] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return "-"
    if estimate["low"] is None:
        return f"{estimate['value']:.4f}"
    return f"{estimate['value']:.4f} [{estimate['low']:.4f}, {estimate['high']:.4f}]"
