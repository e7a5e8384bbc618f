"""A graph as one HTML page: boxes in columns, arrows between them, and what a box holds below when it is clicked.

Nothing is fetched and nothing runs: no script. Every text that comes in is escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from ml_assets.core.picture_style import STYLE

Tone = Literal["plain", "subject", "delivered", "good", "bad"]
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN, TOP = 154, 70, 38, 22, 20, 40
LONGEST = 24


@dataclass(frozen=True)
class Table:
    """Cells are texts; "passed" and "failed" are shown in colour."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Folded:
    """A text that is long, behind its title."""

    title: str
    content: str


@dataclass(frozen=True)
class Box:
    """`key` is unique on the page; `parts` are shown when the box is clicked."""

    key: str
    column: int
    title: str
    subtitle: str
    note: str = ""
    tone: Tone = "plain"
    parts: Sequence[Table | Folded] = ()


@dataclass(frozen=True)
class Arrow:
    source: str
    target: str
    told: str


@dataclass(frozen=True)
class Place:
    x: int
    y: int


def page(*, title: str, lead: str, columns: Mapping[int, str], boxes: Sequence[Box], arrows: Sequence[Arrow], first: str) -> str:
    """The page. `columns` names those that have boxes; the parts of the box `first` are open at the beginning."""
    picture = _picture(columns, boxes, arrows)
    sections = "\n".join(_section(box, number, is_first=box.key == first) for number, box in enumerate(boxes))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n"
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>\n'
        f'<main><div class="graph">{picture}</div><p class="hint">Click a box to see what it holds; '
        f"point at an arrow to see how many it stands for.</p>\n{sections}</main>\n</body></html>\n"
    )


def _picture(columns: Mapping[int, str], boxes: Sequence[Box], arrows: Sequence[Arrow]) -> str:
    used = sorted({box.column for box in boxes})
    stacks = {column: [box for box in boxes if box.column == column] for column in used}
    tallest = max(len(stack) for stack in stacks.values())
    places: dict[str, Place] = {}
    for number, column in enumerate(used):
        top = TOP + (tallest - len(stacks[column])) * (HEIGHT + GAP_Y) // 2
        for row, box in enumerate(stacks[column]):
            places[box.key] = Place(MARGIN + number * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y))
    bottom = TOP + tallest * (HEIGHT + GAP_Y)
    lines = [_arrow(arrow, places, bottom) for arrow in arrows]
    width, height = 2 * MARGIN + len(used) * (WIDTH + GAP_X) - GAP_X, max([bottom, *(low for _, low in lines)]) + 4
    heads = "".join(
        f'<text class="column" x="{MARGIN + n * (WIDTH + GAP_X)}" y="24">{escape(columns[c])}</text>' for n, c in enumerate(used)
    )
    drawn = "".join(_box(box, number, places[box.key]) for number, box in enumerate(boxes))
    marker = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>'
    )
    inside = "".join([marker, heads, *(line for line, _ in lines), drawn])
    return f'<svg role="img" width="{width}" height="{height}" viewBox="0 0 {width} {height}">{inside}</svg>'


def _box(box: Box, number: int, place: Place) -> str:
    x, y = place.x, place.y
    return (
        f'<a class="{box.tone}" href="#box-{number}"><title>{escape(f"{box.title}: {box.subtitle}")}</title>'
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        f'<text class="title" x="{x + 11}" y="{y + 24}">{escape(_cut(box.title))}</text>'
        f'<text class="sub" x="{x + 11}" y="{y + 42}">{escape(_cut(box.subtitle))}</text>'
        f'<text class="sub" x="{x + 11}" y="{y + 58}">{escape(_cut(box.note))}</text></a>'
    )


def _arrow(arrow: Arrow, places: Mapping[str, Place], bottom: int) -> tuple[str, int]:
    """The arrow, and how low it reaches."""
    a, b = places[arrow.source], places[arrow.target]
    if a.x < b.x:
        x1, y1, x2, y2 = a.x + WIDTH, a.y + HEIGHT // 2, b.x - 2, b.y + HEIGHT // 2
        passed = (b.x - a.x) // (WIDTH + GAP_X) - 1
        bend, dip = GAP_X if passed else GAP_X // 2 + 4, (HEIGHT + passed * 22) if passed else 0  # below what lies between
        path, kind = f"M{x1} {y1} C{x1 + bend} {y1 + dip} {x2 - bend} {y2 + dip} {x2} {y2}", ""
        low = max(y1, y2) + dip
    else:
        x1, x2, low = a.x + WIDTH // 2, b.x + WIDTH // 2, bottom + 70
        path = f"M{x1} {a.y + HEIGHT} C{x1} {low} {x2} {low} {x2} {b.y + HEIGHT + 2}"
        kind = ' class="back"'
    return f'<path{kind} d="{path}" marker-end="url(#tip)"><title>{escape(arrow.told)}</title></path>', low


def _section(box: Box, number: int, *, is_first: bool) -> str:
    parts = "".join(_table(part) if isinstance(part, Table) else _folded(part) for part in box.parts)
    mark = ' class="first"' if is_first else ""
    head = f"{escape(box.title)} <small>{escape(f'{box.subtitle} {box.note}'.strip())}</small>"
    return f'<section id="box-{number}"{mark}><h2>{head}</h2>{parts}</section>'


def _table(table: Table) -> str:
    used = [number for number, _ in enumerate(table.header) if any(row[number] for row in table.rows)]
    head = "".join(f"<th>{escape(table.header[number])}</th>" for number in used)
    rows = "".join(f"<tr>{''.join(_cell(row[number]) for number in used)}</tr>" for row in table.rows)
    return f'<h3>{escape(table.title)}</h3><div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _cell(cell: str) -> str:
    mark = {"passed": ' class="pass"', "failed": ' class="fail"'}.get(cell, "")
    return f"<td{mark}>{escape(cell)}</td>"


def _folded(folded: Folded) -> str:
    return f"<details><summary>{escape(folded.title)}</summary><pre>{escape(folded.content)}</pre></details>"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
