"""`ml-assets lineage`: what made a release, a model, a partition or a prediction, down to the delivered bytes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ml_assets.cli.shared.context import workspace
from ml_assets.cli.shared.references import resolve, show
from ml_assets.core.html.audit_page import commit, lineage_page, name_of, span
from ml_assets.errors import MlAssetsError
from ml_assets.services.audit.questions import Audit

Node = Mapping[str, Any]
LONGEST_VALUE = 80
"""Longer values, such as a test's SQL, are in --json and --html."""


class NothingMadeIt(MlAssetsError):
    """Delivered bytes have no lineage."""


@click.command()
@click.argument("reference")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture of the graph to this file.")
def command(reference: str, as_json: bool, html: Path | None) -> None:
    """Show what made REFERENCE.

    REFERENCE is a release's name, the beginning of a digest or manifest id (6 characters or more), PRODUCT/STAGE:PARTITION
    (flights/features:2013-03), or a prediction id.
    """
    space = workspace()
    subject = resolve(space, reference)
    if subject.manifest is None:
        then = f"what they made: `ml-assets impact {reference}`"
        raise NothingMadeIt(f"{reference!r} is delivered bytes, which nothing made; {then}")
    answer = Audit(space.ledger, space.settings.cache, subject).lineage()
    show(answer, lines=lines, page=lineage_page, html=html, as_json=as_json)


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer as text: the release that served, the tree, what each thing was made with, and what was shown about it."""
    nodes = {node["manifest"]: node for node in answer["manifests"]}
    subject = nodes[answer["subject"]["manifest"]]
    yield from _heading(answer["subject"], subject)
    yield from _trees(nodes, subject)
    yield ""
    yield from _made_with(answer["manifests"])
    yield from _shown(answer["manifests"], subject)


def _heading(subject: Mapping[str, Any], node: Node) -> Iterator[str]:
    """The release that served, its moves, and what people decided about it; nothing for what is not a release."""
    if not subject["release"]:
        return
    yield name_of(subject)
    if prediction := subject["prediction"]:
        yield f"  gave {prediction['score']} at {prediction['at']} in {prediction['environment']}, id {prediction['id']}"
        yield f"  asked {json.dumps(prediction['request'])}"
    for approval in node["approvals"]:
        how = ", ".join(filter(None, [approval["via"], approval.get("proof")]))
        yield f"  {approval['kind']} at {approval['at'][:19]} by {approval['by']} ({how}): {approval['reason']}"
    for move in node["moves"]:
        by = f"{move['by']} ({move['proof']})" if "proof" in move else move["by"]
        yield f"  {move['environment']}: {move['kind']} at {move['at'][:19]} by {by}: {move['reason']}"
    yield ""


_RECORDED = {
    "landing": "delivered bytes",
    "served": "what the endpoint answered, by its log,",
    "decision": "a person's decision, ledger entry",
}
"""The assets that no stage makes, by the beginning of its name."""


def _trees(nodes: Mapping[str, Node], subject: Node) -> Iterator[str]:
    """One tree for the subject, and one for each earlier release that it was compared with, directly or not."""
    shown: set[str] = set()
    trees = [subject]
    for root in trees:  # grows while it is gone through
        left = [(root, "", "")]
        while left:
            node, first, rest = left.pop()
            is_other = node is not root and "release" in node["facts"]
            if is_other and node not in trees:
                trees.append(node)
            yield f"{first}{_label(node)}{'  (below)' if is_other else '  (shown above)' if node['manifest'] in shown else ''}"
            if is_other or node["manifest"] in shown:
                continue
            shown.add(node["manifest"])
            left += reversed(list(_branches(nodes, node, rest)))


def _branches(nodes: Mapping[str, Node], node: Node, rest: str) -> Iterator[tuple[Node, str, str]]:
    for number, given in enumerate(node["inputs"], 1):
        branch, below = ("└─ ", "   ") if number == len(node["inputs"]) else ("├─ ", "│  ")
        yield nodes[given["manifest"]] if given["manifest"] else _recorded(given), rest + branch, rest + below


def _recorded(given: Mapping[str, Any]) -> Node:
    identity = {name: given[name] for name in ("asset", "partition", "data_version")}
    return {**identity, "manifest": f"{given['asset']} {given['data_version']}", "inputs": [], "facts": {}, "code": None}


def _label(node: Node) -> str:
    where = f"{node['asset']} {node['partition']}".strip()
    if node["code"] is None:
        kind, _, _ = node["asset"].partition("/")
        return f"{where}  {_RECORDED.get(kind, 'content')} sha256 {node['data_version'][:16]}"
    facts, checks = node["facts"], node["checks"]
    name = f"  release {facts['release']}" if "release" in facts else ""
    verdict = f"  {facts['verdict']['decision']}" if "verdict" in facts else ""
    failed = [claim for claim, check in checks.items() if not check["passed"]]
    passed = f"  checks {len(checks) - len(failed)}/{len(checks)}" if checks else ""
    failures = f"  failed: {', '.join(failed)}" if failed else ""
    recalled = f"  RECALLED: {node['recalled']}" if "recalled" in node else ""
    trained = f"  trained because {node['trained_because']}" if "trained_because" in node else ""
    asker = f"  asked for by {node['asked_by']}" if "asked_by" in node else ""
    about = f"{name}{verdict}{passed}{failures}{recalled}{trained}{asker}"
    return f"{where}  {node['data_version'][:16]}  code {node['code'][:8]}{about}"


def _made_with(nodes: list[Node]) -> Iterator[str]:
    """Code, commit, libraries and parameters: once for all partitions of an asset that were made with the same."""
    yield "made with"
    groups: dict[tuple[Any, ...], list[Node]] = {}
    for node in nodes:
        key = (node["asset"], node["code"], node["config"], node["environment"], commit(node), node["seed"], node["threads"])
        groups.setdefault(key, []).append(node)
    for (asset, code, *_, source, seed, threads), group in groups.items():
        fitted = f", seed {seed}, {threads} threads" if seed is not None else ""
        at = f", commit {source}" if source else ""
        where = f"{asset} {span([node['partition'] for node in group])}".strip()
        yield f"  {where}: code {code[:8]}{at}{fitted}"
        details = group[-1]["details"]
        versions = ", ".join(f"{name} {version}" for name, version in details.get("environment", {}).items())
        yield f"    libraries   {versions}"
        if details.get("config"):
            yield f"    parameters  {json.dumps(details['config'], sort_keys=True)}"


def _shown(nodes: list[Node], subject: Node) -> Iterator[str]:
    """Every check of the subject and of its direct inputs of the same partition; of the others those that failed."""
    near = {
        subject["manifest"],
        *(given["manifest"] for given in subject["inputs"] if given["partition"] == subject["partition"]),
    }
    rows = [
        (node, claim, check)
        for node in reversed(nodes)
        for claim, check in node["checks"].items()
        if node["manifest"] in near or not check["passed"]
    ]
    if rows:
        yield ""
        yield "checks (of what lies further away only those that failed; --json lists all)"
    for node, claim, check in rows:
        texts = {name: str(value) for name, value in check.get("values", {}).items()}
        values = "".join(f", {name} {value}" for name, value in texts.items() if len(value) <= LONGEST_VALUE)
        result = "passed" if check["passed"] else "FAILED"
        yield f"  {result}  {node['asset']} {node['partition']}  {claim}: {check.get('description', '')}{values}"
