"""`ml-assets status`: what stands for each partition, and who answers."""

import json
from typing import Any

import click

from ml_assets.cli.common import product_named, workspace
from ml_assets.product import Product
from resources.workspace import Workspace


@click.command()
@click.argument("product")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(product: str, as_json: bool) -> None:
    """Show one row per partition of PRODUCT: rows, quarantined, metrics, verdict, release; and who answers."""
    space = workspace()
    spec = product_named(product, space.settings)
    rows = [row(space, spec, key) for key in space.ledger.partitions(product, "raw")]
    pointers = {e: space.ledger.pointer(product, e) for e in ("staging", "production")}
    answers = {name: entry.body["name"] if entry else None for name, entry in pointers.items()}
    waits = _waits(space, spec)
    if as_json:
        click.echo(json.dumps({"product": product, "partitions": rows, "answers": answers, "waits": waits}, indent=1))
        return
    click.echo(table(spec, rows))
    for name, release in answers.items():
        click.echo(f"{name}: {release or 'nothing answers'}")
    for name, why in waits.items():
        click.echo(f"{name} {why}; `ml-assets approve {product} {name}`")


def _waits(space: Workspace, product: Product) -> dict[str, str]:
    """The releases that wait for approval, and why. Where nobody is ever asked, none is looked for."""
    if not (product.gates.is_ever_approved or product.gates.four_eyes):
        return {}
    from resources.standing import waiting

    return {each.name: each.decision.reasons[0] for each in waiting(space, product)}


def row(space: Workspace, product: Product, key: str) -> dict[str, Any]:
    """What the ledger holds for one partition; None where a stage has nothing."""
    found = {s: space.ledger.current(product.name, s, key) for s in ("raw", "quarantine", "evaluation", "release")}
    facts = {stage: manifest.facts for stage, manifest in found.items() if manifest}
    evaluation = facts.get("evaluation", {})
    metric = product.gates.metric
    measured = evaluation.get("metrics", {}).get(metric, {})
    return {
        "partition": key,
        "rows": sum(facts["raw"]["rows"].values()) if "raw" in facts else None,
        "quarantined": sum(facts["quarantine"]["rows"].values()) if "quarantine" in facts else None,
        "metric": metric,
        "candidate": measured.get("candidate"),
        "champion": measured.get("champion"),
        "verdict": evaluation.get("verdict", {}).get("decision"),
        "release": facts.get("release", {}).get("release"),
    }


def table(product: Product, rows: list[dict[str, Any]], answers: dict[str, str] | None = None) -> str:
    """The rows as a text table; with `answers`, a column of who answered after each partition."""
    metric = product.gates.metric
    header = ["partition", "rows", "quarantined", f"{metric} candidate", f"{metric} champion", "verdict"]
    header += ["answers" if answers is not None else "release"]
    lines = [
        [
            r["partition"],
            _count(r["rows"]),
            _count(r["quarantined"]),
            _interval(r["candidate"]),
            _interval(r["champion"]),
            r["verdict"] or "no candidate",
            (answers.get(r["partition"], "") if answers is not None else r["release"]) or "nobody",
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
