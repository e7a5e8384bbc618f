"""A graph as one HTML page: boxes in columns, arrows between them, and what a box holds below when it is clicked.

Nothing is fetched and nothing runs: no script. Every text that comes in is escaped. Places are computed here, the elements are
in page.html.jinja.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ml_assets.core.html.rendering import rendered

TEMPLATE = Path(__file__).with_name("page.html.jinja")

Tone = Literal["plain", "subject", "delivered", "good", "bad"]
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN, TOP = 154, 70, 38, 22, 20, 40


@dataclass(frozen=True)
class Table:
    """Cells are texts; "passed" and "failed" are shown in colour."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def filled(self) -> list[int]:
        """The numbers of the columns in which any row has a text; the others are not shown."""
        return [number for number, _ in enumerate(self.header) if any(row[number] for row in self.rows)]


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
    """A line between two boxes, by their keys, with the text that explains it."""

    source: str
    target: str
    title: str


@dataclass(frozen=True)
class ArrowCurve:
    """An arrow as it is drawn: SVG path data, and the lowest y that it reaches."""

    path: str
    title: str
    lowest: int
    is_back: bool


def page(*, title: str, lead: str, columns: Mapping[int, str], boxes: Sequence[Box], arrows: Sequence[Arrow], first: str) -> str:
    """The page. `columns` names those that have boxes; the parts of the box `first` are open at the beginning."""
    used = sorted({box.column for box in boxes})
    xs = {column: MARGIN + number * (WIDTH + GAP_X) for number, column in enumerate(used)}
    stacks = {column: [box for box in boxes if box.column == column] for column in used}
    tallest = max(map(len, stacks.values()))
    places = {
        box.key: (xs[column], TOP + (tallest - len(stack)) * (HEIGHT + GAP_Y) // 2 + row * (HEIGHT + GAP_Y))
        for column, stack in stacks.items()
        for row, box in enumerate(stack)
    }
    bottom = TOP + tallest * (HEIGHT + GAP_Y)
    curves = [_curve(arrow, places[arrow.source], places[arrow.target], bottom) for arrow in arrows]
    return rendered(
        TEMPLATE,
        title=title,
        lead=lead,
        width=2 * MARGIN + len(used) * (WIDTH + GAP_X) - GAP_X,
        height=max([bottom, *(curve.lowest for curve in curves)]) + 4,
        columns=[(xs[column], columns[column]) for column in used],
        curves=curves,
        boxes=[(box, *places[box.key]) for box in boxes],
        box_width=WIDTH,
        box_height=HEIGHT,
        first=first,
        marks={"passed": "pass", "failed": "fail"},
    )


def _curve(arrow: Arrow, source: tuple[int, int], target: tuple[int, int], bottom: int) -> ArrowCurve:
    (source_x, source_y), (target_x, target_y) = source, target
    if source_x < target_x:
        x1, y1, x2, y2 = source_x + WIDTH, source_y + HEIGHT // 2, target_x - 2, target_y + HEIGHT // 2
        passed = (target_x - source_x) // (WIDTH + GAP_X) - 1
        bend, dip = GAP_X if passed else GAP_X // 2 + 4, (HEIGHT + passed * 22) if passed else 0  # below what lies between
        path = f"M{x1} {y1} C{x1 + bend} {y1 + dip} {x2 - bend} {y2 + dip} {x2} {y2}"
        return ArrowCurve(path, arrow.title, max(y1, y2) + dip, is_back=False)
    x1, x2, lowest = source_x + WIDTH // 2, target_x + WIDTH // 2, bottom + 70
    path = f"M{x1} {source_y + HEIGHT} C{x1} {lowest} {x2} {lowest} {x2} {target_y + HEIGHT + 2}"
    return ArrowCurve(path, arrow.title, lowest, is_back=True)
