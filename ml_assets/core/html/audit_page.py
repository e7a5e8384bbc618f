"""The pages of `lineage --html` and `impact --html`: an answer of ml_assets.services.audit.questions as boxes by stage. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ml_assets.core.html.graph_page import Arrow, Box, Folded, Table, Tone, page
from ml_assets.core.lineage.source import source_text

COLUMNS = {
    "landing": (0, "delivered"),
    "raw": (1, "raw"),
    "reference": (1, "raw"),
    "dataset": (2, "dataset"),
    "quarantine": (2, "dataset"),
    "features": (3, "features"),
    "outcomes": (3, "features"),
    "model": (4, "model"),
    "evaluation": (5, "evaluation"),
    "release": (6, "release"),
    "endpoint": (7, "serves"),
    "monitoring": (8, "monitoring"),
    "predictions": (8, "monitoring"),
    "realised": (8, "monitoring"),
}
MOVE = ("environment", "kind", "at", "by", "reason")
MOST_ROWS = 400
MOST_FOLDED = 60

Node = Mapping[str, Any]


def lineage_page(answer: Mapping[str, Any]) -> str:
    """The page of everything that a thing was made from: one box per asset, and one for the thing itself."""
    subject, nodes = answer["subject"], answer["manifests"]
    subject_id = subject["manifest"]
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault("subject" if node["manifest"] == subject_id else node["asset"], []).append(node)
    box_of = {node["manifest"]: key for key, group in groups.items() for node in group}
    boxes = [_made_box(key, group) for key, group in groups.items()] + _delivered_boxes(nodes)
    tables = sum(box.tone == "delivered" for box in boxes)
    lead = f"{len(nodes)} manifests, down to {tables} delivered tables"
    arrows = _count((_source(source, box_of), box_of[node["manifest"]]) for node in nodes for source in node["inputs"])
    return _page(f"What made {name_of(subject)}", lead, boxes, arrows, "subject")


def impact_page(answer: Mapping[str, Any]) -> str:
    """The page of everything that was made from a thing: one box per asset, and one for each environment that serves it."""
    subject = answer["subject"]
    asset = subject["asset"]
    boxes = [_used_box(name, rows, answer["releases"], is_subject=name == asset) for name, rows in answer["manifests"].items()]
    counts = {(edge["from"], edge["to"]): edge["count"] for edge in answer["edges"]}
    if subject.get("delivered_sha256"):
        rows = [[subject["partition"], subject["delivered_sha256"]]]
        parts = [Table("Delivered", ["partition", "sha256"], rows)]
        boxes.append(Box(asset, 0, asset.rsplit("/", 1)[-1], subject["partition"], "", "subject", parts))
        counts |= {(asset, box.key): 1 for box in boxes if box.column == 1}
    for environment, now in answer["answers"].items():
        if now["is_affected"]:
            key = f"serves in {environment}"
            rows = [[now["release"], now["since"], now["by"]]]
            parts = [Table("Serves now", ["release", "since", "by"], rows)]
            boxes.append(Box(key, 7, environment, now["release"], "", "bad", parts))
            counts[asset.removeprefix("landing/").split("/")[0] + "/release", key] = 1
    lead = f"{len(answer['releases'])} releases were made from it, which gave {answer['predictions']} predictions"
    return _page(f"What {name_of(subject)} touched", lead, boxes, counts, asset)


def name_of(subject: Mapping[str, Any]) -> str:
    """The subject of an answer in words."""
    if subject.get("release"):
        return f"release {subject['release']} of {subject['asset'].split('/')[0]}"
    return f"{subject['asset']} {subject['partition']}".strip()


def _page(title: str, lead: str, boxes: Sequence[Box], counts: Mapping[tuple[str, str], int], first: str) -> str:
    keys = {box.key for box in boxes}
    pairs = {pair: n for pair, n in counts.items() if pair[0] != pair[1] and keys.issuperset(pair)}
    arrows = [Arrow(a, b, f"{n} from {a} to {b}") for (a, b), n in pairs.items()]
    ordered = sorted(boxes, key=lambda box: (box.column, box.title))
    return page(title=title, lead=lead, columns=dict(COLUMNS.values()), boxes=ordered, arrows=arrows, first=first)


def _column(asset: str) -> int:
    stage = "landing" if asset.startswith("landing/") else asset.partition("/")[2]
    return COLUMNS.get(stage, (8, ""))[0]


def _count(pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def _source(source: Mapping[str, Any], box_of: Mapping[str, str]) -> str:
    return box_of[source["manifest"]] if source["manifest"] else str(source["asset"])


def _made_box(key: str, nodes: Sequence[Node]) -> Box:
    """A box of the current manifests of one asset's partitions."""
    node = nodes[-1]
    product, _, stage = node["asset"].partition("/")
    title = str(node["facts"].get("release", stage)) if key == "subject" else stage
    lines = (f"{stage} {node['partition']}".strip(), "") if key == "subject" else _extent([n["partition"] for n in nodes])
    has_failed = any(not check["passed"] for n in nodes for check in n["checks"].values()) or any("recalled" in n for n in nodes)
    tone: Tone = "subject" if key == "subject" else "bad" if has_failed else "plain"
    rows = [_row(n) for n in nodes[:MOST_ROWS]]
    header = ["partition", "data version", "manifest", "code", "commit", "made at", "checks", "notes"]
    parts: list[Table | Folded] = [Table(f"{product}/{stage}: {len(nodes)} in all", header, rows)]
    parts += _decisions(nodes) + _checks(nodes)
    parts += [Folded(f"Everything about {n['partition'] or stage}", _json(n)) for n in nodes[:MOST_FOLDED]]
    return Box(key, _column(node["asset"]), title, *lines, tone, parts)


def _row(node: Node) -> list[str]:
    passed = sum(check["passed"] for check in node["checks"].values())
    checks = f"{passed} of {len(node['checks'])} passed" if node["checks"] else ""
    cells = [node["partition"], node["data_version"][:16], node["manifest"][:16], node["code"][:8], commit(node)]
    return [*cells, node["at"][:19], checks, _notes(node)]


def _notes(node: Node) -> str:
    """That it was recalled, and what or who asked for it."""
    trained = f"trained because {node['trained_because']}" if "trained_because" in node else ""
    asker = f"asked for by {node['asked_by']}" if "asked_by" in node else ""
    return "; ".join(filter(None, (node.get("recalled", ""), trained, asker)))


def commit(node: Node) -> str:
    """The commit of the code that made it, and of its product where that lies elsewhere, as far as they are known."""
    return source_text(node["source"])


def _decisions(nodes: Sequence[Node]) -> list[Table | Folded]:
    rows = [
        [str(n["facts"].get("release", n["partition"])), *(_shown(move, name) for name in MOVE)]
        for n in nodes
        for move in sorted([*n["moves"], *(_as_move(approval) for approval in n["approvals"])], key=lambda move: str(move["at"]))
    ]
    header = ["release", "environment", "what", "at", "by", "reason"]
    return [Table("Approvals, promotions and rollbacks", header, rows[-MOST_ROWS:])] if rows else []


def _shown(move: Mapping[str, str], name: str) -> str:
    """A cell; next to who decided stands what showed that it was them."""
    proof = f" ({move['proof']})" if name == "by" and "proof" in move else ""
    return move[name][:200] + proof


def _as_move(approval: Mapping[str, str]) -> dict[str, str]:
    """A person's decision as a row next to the moves; it is always about production."""
    return {**approval, "environment": "production", "kind": f"{approval['kind']} ({approval['via']})"}


def _checks(nodes: Sequence[Node]) -> list[Table | Folded]:
    rows = [
        [n["partition"], claim, "passed" if check["passed"] else "failed", check.get("description", ""), _values(check)]
        for n in nodes
        for claim, check in n["checks"].items()
    ]
    rows.sort(key=lambda row: row[2] == "passed")  # failures first
    return [Table("Checks", ["partition", "claim", "result", "said", "values"], rows[:MOST_ROWS])] if rows else []


def _values(check: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in check.get("values", {}).items())


def _delivered_boxes(nodes: Sequence[Node]) -> list[Box]:
    """A box for each delivered table."""
    files_by_asset: dict[str, dict[tuple[str, str], None]] = {}
    for node in nodes:
        for source in node["inputs"]:
            if source["manifest"] is None:
                files_by_asset.setdefault(source["asset"], {})[source["partition"], source["data_version"]] = None
    return [
        Box(
            asset,
            0,
            asset.rsplit("/", 1)[-1],
            *_extent([partition for partition, _ in files]),
            "delivered",
            [Table(f"{asset}: delivered bytes", ["partition", "sha256"], [list(file) for file in list(files)[:MOST_ROWS]])],
        )
        for asset, files in files_by_asset.items()
    ]


def _used_box(asset: str, rows: Sequence[Node], releases: Sequence[Node], *, is_subject: bool) -> Box:
    cells = [[row["partition"], row["manifest"], "current" if row["is_current"] else "replaced"] for row in rows[:MOST_ROWS]]
    parts: list[Table | Folded] = [Table(f"{asset}: {len(rows)} in all", ["partition", "manifest", "state"], cells)]
    stage = asset.partition("/")[2]
    lines = _extent([row["partition"] for row in rows])
    if stage == "release":
        counts = [[r["release"], r["at"][:19], str(sum(r["predictions"].values())), _where(r)] for r in releases]
        parts.insert(0, Table("Releases", ["release", "made at", "predictions", "by environment"], counts[:MOST_ROWS]))
    return Box(asset, _column(asset), stage, *lines, "subject" if is_subject else "plain", parts)


def _where(release: Node) -> str:
    return ", ".join(f"{environment} {count}" for environment, count in release["predictions"].items())


def _extent(partitions: Sequence[str]) -> tuple[str, str]:
    """The two lines under a box's title."""
    keys = sorted(set(partitions))
    if len(keys) == 1:
        return keys[0] or "not partitioned", ""
    return f"{len(keys)} partitions", f"{keys[0]} … {keys[-1]}"


def span(partitions: Sequence[str]) -> str:
    """Many partitions in few words."""
    keys = sorted(set(partitions))
    if len(keys) == 1:
        return keys[0]
    return f"{keys[0]} to {keys[-1]} ({len(keys)})"


def _json(node: Node) -> str:
    return json.dumps(dict(node), indent=1, ensure_ascii=False)
