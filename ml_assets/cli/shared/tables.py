"""The state of partitions and releases, as rows and as a text table."""

from typing import Any

import msgspec

from ml_assets.cli.shared.workspace import Workspace
from ml_assets.core.lineage.facts import CountedFacts, EvaluationFacts, ReleaseFacts
from ml_assets.spec.product import Product


def row(space: Workspace, product: Product, key: str) -> dict[str, Any]:
    """The ledger's record of one partition; None where a stage has none."""
    manifests = {s: space.ledger.current(product.name, s, key) for s in ("raw", "quarantine", "evaluation", "release")}
    raw, quarantine, evaluated, released = manifests.values()
    evaluation = EvaluationFacts.of(evaluated) if evaluated else None
    metric = product.gates.metric
    measured: dict[str, Any] = msgspec.to_builtins(evaluation.metrics.get(metric, {})) if evaluation else {}
    return {
        "partition": key,
        "rows": CountedFacts.of(raw).count if raw else None,
        "quarantined": CountedFacts.of(quarantine).count if quarantine else None,
        "metric": metric,
        "candidate": measured.get("candidate"),
        "champion": measured.get("champion"),
        "is_trained": space.ledger.current(product.name, "model", key) is not None,
        "verdict": evaluation.verdict.decision if evaluation else None,
        "release": ReleaseFacts.of(released).release if released else None,
    }


def table(product: Product, rows: list[dict[str, Any]], serving: dict[str, str] | None = None) -> str:
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
        for r in rows
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
