"""A flowchart in Mermaid's notation as SVG, so that the site fetches no script to draw it.

Takes what the documents use: boxes `name["text<br>second line"]`, `name[/text/]` or `name`, arrows `-->`, dotted ones
`-. text .->`, and `&` for several boxes at once.
"""

import re
from dataclasses import dataclass, field
from html import escape

BOX = re.compile(r"""(\w+)(?:\["([^"]*)"\]|\[/?([^\]/]*)/?\])?""")
ARROW = re.compile(r"\s*(?:-->|-\.\s*(.*?)\s*\.->)\s*")
CHARACTER, LINE, PAD, GAP, LAYER_GAP = 7.4, 18, 14, 26, 46


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
    return _svg(parsed(text))


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


def _svg(chart: Chart) -> str:
    sizes = {n: (max(map(len, t)) * CHARACTER + 2 * PAD, len(t) * LINE + 2 * PAD) for n, t in chart.boxes.items()}
    along, across = (1, 0) if chart.is_down else (0, 1)  # the side of a box that lies in the direction of the layers, and the other
    rows = layers(chart)
    widest = max(sum(sizes[n][across] + GAP for n in row) - GAP for row in rows)
    places: dict[str, tuple[float, float]] = {}
    start = 2.0
    for row in rows:
        at = 2 + (widest - (sum(sizes[n][across] + GAP for n in row) - GAP)) / 2
        thick = max(sizes[n][along] for n in row)
        for name in row:
            middle = start + (thick - sizes[name][along]) / 2
            places[name] = (at, middle) if chart.is_down else (middle, at)
            at += sizes[name][across] + GAP
        start += thick + LAYER_GAP
    length = start - LAYER_GAP + 4
    back = 56 if any(text is not None for *_, text in chart.arrows) else 0
    width, height = (widest + 4, length) if chart.is_down else (length, widest + 4 + back)
    parts = [_arrow(a, b, text, places, sizes, chart.is_down, widest + 4) for a, b, text in chart.arrows]
    parts += [_drawn_box(chart.boxes[name], *places[name], *sizes[name]) for name in chart.boxes]
    label = escape(", ".join(" ".join(lines) for lines in chart.boxes.values()))
    marker = '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
    marker += '<path d="M0 0L10 5L0 10z" fill="currentColor"/></marker></defs>'
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" style="max-width: {width:.0f}px"'
    return f'<svg class="flowchart" role="img" aria-label="{label}" {size}>{marker}{"".join(parts)}</svg>\n'


def _drawn_box(lines: list[str], x: float, y: float, width: float, height: float) -> str:
    first = y + height / 2 - (len(lines) - 1) * LINE / 2 + 5
    texts = [
        f'<text x="{x + width / 2:.0f}" y="{first + number * LINE:.0f}" class="{"soft" if number else "title"}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6"/>{"".join(texts)}'


def _arrow(
    a: str, b: str, text: str | None, places: dict[str, tuple[float, float]], sizes: dict[str, tuple[float, float]],
    is_down: bool, edge: float,
) -> str:  # fmt: skip
    (ax, ay), (bx, by), (aw, ah), (bw, bh) = places[a], places[b], sizes[a], sizes[b]
    if text is not None:
        x1, x2 = ax + aw / 2, bx + bw / 2
        low = max(ay + ah, by + bh)
        path = f"M{x1:.0f} {ay + ah:.0f}C{x1:.0f} {edge + 40:.0f} {x2:.0f} {edge + 40:.0f} {x2:.0f} {by + bh + 3:.0f}"
        words = f'<text x="{(x1 + x2) / 2:.0f}" y="{max(low, edge) + 44:.0f}" class="soft">{escape(text)}</text>' if text else ""
        return f'<path d="{path}" class="dotted" marker-end="url(#tip)"/>{words}'
    if is_down:
        x1, y1, x2, y2 = ax + aw / 2, ay + ah, bx + bw / 2, by - 3
        return f'<path d="M{x1:.0f} {y1:.0f}C{x1:.0f} {(y1 + y2) / 2:.0f} {x2:.0f} {(y1 + y2) / 2:.0f} {x2:.0f} {y2:.0f}" marker-end="url(#tip)"/>'
    x1, y1, x2, y2 = ax + aw, ay + ah / 2, bx - 3, by + bh / 2
    return f'<path d="M{x1:.0f} {y1:.0f}C{(x1 + x2) / 2:.0f} {y1:.0f} {(x1 + x2) / 2:.0f} {y2:.0f} {x2:.0f} {y2:.0f}" marker-end="url(#tip)"/>'
