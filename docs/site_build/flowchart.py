"""A flowchart in Mermaid's notation as SVG, so that the site fetches no script to draw it.

Takes what the documents use: boxes `name["text<br>second line"]`, `name[/text/]` or `name`, arrows `-->`, dotted ones
`-. text .->`, and `&` for several boxes at once.
"""

import re
from dataclasses import dataclass, field
from html import escape

BOX = re.compile(r"""(\w+)(?:\["([^"]*)"\]|\[/?([^\]/]*)/?\])?""")
ARROW = re.compile(r"\s*(?:-->|-\.\s*(.*?)\s*\.->)\s*")
CHARACTER, LINE, PAD, GAP = 7.8, 18, 12, 24


Places = dict[str, tuple[float, float]]
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L10 5L0 10z" fill="currentColor"/></marker></defs>'
)


class NotDrawn(ValueError):
    """A line of a flowchart that is not understood."""


@dataclass
class Chart:
    """Boxes: lines of text by name. Arrows: from, to, text of a dotted one or None."""

    is_down: bool = True
    boxes: dict[str, list[str]] = field(default_factory=dict)
    arrows: list[tuple[str, str, str | None]] = field(default_factory=list)


def flowchart(text: str) -> str:
    """The chart as an SVG element. Raises NotDrawn."""
    return _svg(laid_out(parsed(text)))


def parsed(text: str) -> Chart:
    """The boxes and arrows of a text. Raises NotDrawn."""
    first, *lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not (direction := re.fullmatch(r"flowchart (TB|TD|LR)", first)):
        raise NotDrawn(f"{first!r}: a picture begins with `flowchart TB` or `flowchart LR`")
    chart = Chart(is_down=direction[1] != "LR")
    for line in lines:
        _read(line, chart)
    return chart


def _read(line: str, chart: Chart) -> None:
    parts = ARROW.split(line)
    sides, texts = parts[::2], parts[1::2]
    named = [[_box(part.strip(), chart) for part in side.split(" & ")] for side in sides]
    for number, text in enumerate(texts):
        chart.arrows += [(a, b, text) for a in named[number] for b in named[number + 1]]


def _box(text: str, chart: Chart) -> str:
    match = BOX.fullmatch(text)
    if not match:
        raise NotDrawn(f"{text!r} is no box of a flowchart that docs/site_build/flowchart.py draws")
    name, quoted, plain = match.groups()
    label = quoted or plain
    if label or name not in chart.boxes:
        chart.boxes[name] = (label or name).split("<br>")
    return name


def layers(chart: Chart) -> list[list[str]]:
    """The boxes by the longest way to them along solid arrows; dotted ones go back."""
    depth = dict.fromkeys(chart.boxes, 0)
    solid = [(a, b) for a, b, text in chart.arrows if text is None]
    for _ in chart.boxes:
        for a, b in solid:
            depth[b] = max(depth[b], depth[a] + 1)
    if any(depth[b] <= depth[a] for a, b in solid):
        raise NotDrawn("solid arrows go in a circle; make one of them dotted: -. why .->")
    return [[name for name in chart.boxes if depth[name] == number] for number in range(max(depth.values()) + 1)]


@dataclass(frozen=True)
class Layout:
    """Where boxes are: x and y of the upper left corner, and width and height, by name; `size` of all."""

    chart: Chart
    corners: Places
    sizes: Places
    size: tuple[float, float]


def laid_out(chart: Chart) -> Layout:
    """The boxes in their layers, each layer centred."""
    sizes = {n: (max(map(len, t)) * CHARACTER + 2 * PAD, float(len(t) * LINE + 2 * PAD)) for n, t in chart.boxes.items()}
    along, across = (1, 0) if chart.is_down else (0, 1)  # the side of a box in the direction of the layers, and the other
    rows = layers(chart)
    lengths = [sum(sizes[name][across] + GAP for name in row) - GAP for row in rows]
    corners: Places = {}
    start, layer_gap = 2.0, 46 if chart.is_down else 28
    for row, length in zip(rows, lengths, strict=True):
        at, thick = 2 + (max(lengths) - length) / 2, max(sizes[name][along] for name in row)
        for name in row:
            middle = start + (thick - sizes[name][along]) / 2
            corners[name] = (at, middle) if chart.is_down else (middle, at)
            at += sizes[name][across] + GAP
        start += thick + layer_gap
    whole = (max(lengths) + 4, start - layer_gap + 4)
    return Layout(chart, corners, sizes, whole if chart.is_down else whole[::-1])


def _svg(layout: Layout) -> str:
    chart, (width, height) = layout.chart, layout.size
    below = 56 if any(text is not None for *_, text in chart.arrows) else 0
    parts = [_back(layout, a, b, text) if text is not None else _forward(layout, a, b) for a, b, text in chart.arrows]
    parts += [_drawn_box(layout, name) for name in chart.boxes]
    label = escape(", ".join(" ".join(lines) for lines in chart.boxes.values()))
    size = f'viewBox="0 0 {width:.0f} {height + below:.0f}" style="max-width: {width:.0f}px"'
    return f'<svg class="flowchart" role="img" aria-label="{label}" {size}>{_TIP}{"".join(parts)}</svg>\n'


def _drawn_box(layout: Layout, name: str) -> str:
    (x, y), (width, height), lines = layout.corners[name], layout.sizes[name], layout.chart.boxes[name]
    first = y + height / 2 - (len(lines) - 1) * LINE / 2 + 5
    texts = [
        _text(line, x + width / 2, first + number * LINE, "soft" if number else "title") for number, line in enumerate(lines)
    ]
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6"/>{"".join(texts)}'


def _forward(layout: Layout, a: str, b: str) -> str:
    (ax, ay), (bx, by), (aw, ah), (bw, bh) = layout.corners[a], layout.corners[b], layout.sizes[a], layout.sizes[b]
    if layout.chart.is_down:
        x1, y1, x2, y2 = ax + aw / 2, ay + ah, bx + bw / 2, by - 3
        return _curve((x1, y1), (x1, (y1 + y2) / 2), (x2, (y1 + y2) / 2), (x2, y2))
    x1, y1, x2, y2 = ax + aw, ay + ah / 2, bx - 3, by + bh / 2
    return _curve((x1, y1), ((x1 + x2) / 2, y1), ((x1 + x2) / 2, y2), (x2, y2))


def _back(layout: Layout, a: str, b: str, text: str) -> str:
    """A dotted arrow, below everything, with its text."""
    (ax, ay), (bx, by), (aw, ah), (bw, bh) = layout.corners[a], layout.corners[b], layout.sizes[a], layout.sizes[b]
    x1, x2, low = ax + aw / 2, bx + bw / 2, layout.size[1] + 40
    words = _text(text, (x1 + x2) / 2, low + 4, "soft") if text else ""
    return _curve((x1, ay + ah), (x1, low), (x2, low), (x2, by + bh + 3), kind="dotted") + words


def _text(text: str, x: float, y: float, kind: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{escape(text)}</text>'


def _curve(start: tuple[float, float], *others: tuple[float, float], kind: str = "solid") -> str:
    """A curve with a tip: from `start` by two control points to the last point."""
    points = " ".join(f"{x:.0f} {y:.0f}" for x, y in others)
    return f'<path d="M{start[0]:.0f} {start[1]:.0f}C{points}" class="{kind}" marker-end="url(#tip)"/>'
