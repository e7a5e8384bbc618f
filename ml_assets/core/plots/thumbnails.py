"""Pictures and tables so small that Dagster's UI shows them in its metadata table, instead of behind a link.

The full pictures are in figures.py; these are drawn from the same points. Knows nothing of Dagster but its limit.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ml_assets.core.lineage.facts import EstimateFacts, Metrics
from ml_assets.core.plots.style import COLORS

INLINE = 1000
"""The UI shows Markdown that is shorter than this in the table itself."""
PICTURES = {
    "roc": ("false positive rate", "true positive rate"),
    "precision_recall": ("recall", "precision"),
    "calibration": ("mean predicted", "share of positives"),
    "score_distribution": ("score", "share of rows"),
    "residuals": ("predicted − actual", "share of rows"),
    "residuals_by_unit": ("unit", "predicted − actual"),
    "predicted_vs_actual": ("actual", "predicted"),
    "learning_curve": ("trees", "loss"),
}
"""The figures that are drawn small, in the order of reading, with the names of its axes."""
_ESCAPES = {"<": "%3C", ">": "%3E", "#": "%23", " ": "%20", "(": "%28", ")": "%29", "%": "%25"}
_HEAD = "<svg xmlns='http://www.w3.org/2000/svg' width='270' height='190' viewBox='-1 -10 135 95' style='background:#fff'>"
_FRAME = "<path d='M0,0V70H132' fill='none' stroke='#999'/>"
_WIDTH, _HEIGHT, _MOST_POINTS = 132, 70, 60
Points = list[tuple[float, float]]
Curves = Mapping[str, Mapping[str, Sequence[Any]]]


def thumbnail(name: str, curves: Curves) -> str | None:
    """A picture as inline Markdown: per model its points {"x": [...], "y": [...]}; None where there is nothing to draw."""
    if not curves:
        return None
    points = {model: _points(curve) for model, curve in curves.items()}
    fitting = (_markdown(name, points, most) for most in range(_MOST_POINTS, 3, -4))
    return next((text for text in fitting if len(text) < INLINE), None)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table with as many rows as are shown inline."""
    lines = [f"|{'|'.join(map(str, line))}|" for line in (header, ["-"] * len(header), *rows)]
    while sum(map(len, lines)) + len(lines) >= INLINE:
        lines.pop()
    return "\n".join(lines)


def comparison(metrics: Metrics, *, order: Sequence[str]) -> str:
    """Each metric of each model, and the difference with its interval (metrics as judging.metrics gives them)."""
    baseline = ["baseline"] if any("baseline" in metrics[m] for m in order) else []
    roles = ["candidate", *baseline, "champion", "difference"]
    rows = [[m, *(_estimate(metrics[m].get(role), signed=role == "difference") for role in roles)] for m in order]
    return table(["metric", *roles], rows)


def _estimate(about: EstimateFacts | None, *, signed: bool) -> str:
    if about is None or about.value is None:
        return "-"
    sign = "+" if signed else ""
    is_bounded = signed and about.low is not None and about.high is not None
    interval = f" [{about.low:+.3f}, {about.high:+.3f}]" if is_bounded else ""
    return f"{about.value:{sign}.4f}{interval}"


def confusion(counts: Mapping[str, int], classes: Sequence[str] = ()) -> str:
    """The confusion matrix as a table; of several classes one row for each."""
    if classes:
        rows = [
            [f"actual {name}", *(f"{counts[f'{actual},{decided}']:,}" for decided in range(len(classes)))]
            for actual, name in enumerate(classes)
        ]
        return table(["", *classes], [[str(cell).replace("|", "\\|") for cell in row] for row in rows])
    names = (("no", "true_negative", "false_positive"), ("yes", "false_negative", "true_positive"))
    return table(["", "predicted no", "predicted yes"], [[f"actual {n}", *(f"{counts[c]:,}" for c in cs)] for n, *cs in names])


def _points(curve: Mapping[str, Sequence[Any]]) -> Points:
    """A curve's points; edges and shares of a histogram as steps, labels of a time axis by their number."""
    x, y = list(curve["x"]), list(curve["y"])
    if x and isinstance(x[0], str):
        x = list(range(len(x)))
    if len(x) == len(y) + 1:
        return [(edge, share) for left, right, share in zip(x, x[1:], y, strict=False) for edge in (left, right)]
    return list(zip(x, y, strict=True))


def _markdown(name: str, points: Mapping[str, Points], most: int) -> str:
    every = [point for series in points.values() for point in series]
    place, ends = _scale(every)
    drawn = "".join(_series(name, model, points[model], place, most) for model in reversed(list(points)))
    (x, y), (left, right, low, high) = PICTURES[name], [round(end, 3) for end in ends]
    top, bottom = f"{y}, {low:.3g} to {high:.3g}", f"{x}, {left:.3g} to {right:.3g}"
    labels = f"<g style='font:6px Arial'><text y='-3'>{top}</text><text y='78'>{bottom}</text>{_legend(points)}</g>"
    return inline_svg(f"{_FRAME}{drawn}{labels}", name=name)


def inline_svg(body: str, *, name: str) -> str:
    """SVG elements on the canvas of all small pictures, as a Markdown image that carries its own data."""
    encoded = "".join(_ESCAPES.get(char, char) for char in f"{_HEAD}{body}</svg>")
    return f"![{name}](data:image/svg+xml,{encoded})"


def _scale(points: Points) -> tuple[Callable[[float, float], str], tuple[float, float, float, float]]:
    """The function from a point to its place in the picture, and the ranges of both axes; shares and rates begin at 0."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    left, right, low, high = min(xs), max(xs), min(0.0, *ys) if min(ys) < max(ys) / 2 else min(ys), max(ys)
    wide, tall = (right - left) or 1.0, (high - low) or 1.0

    def place(x: float, y: float) -> str:
        return f"{_WIDTH * (x - left) / wide:.0f},{_HEIGHT - _HEIGHT * (y - low) / tall:.0f}"

    return place, (left, right, low, high)


def _series(name: str, model: str, points: Points, place: Callable[[float, float], str], most: int) -> str:
    step = max(1, -(-len(points) // most))
    thinned = [*points[:-1:step], points[-1]]
    placed = list(dict.fromkeys(place(x, y) for x, y in thinned))
    color = COLORS.get(model, COLORS["candidate"])
    if name == "predicted_vs_actual":
        dots = "".join(f"M{place}h0" for place in placed)
        return f"<path d='{dots}' stroke='{color}' stroke-width='2' stroke-linecap='round'/>"
    return f"<path d='{_line(placed)}' fill='none' stroke='{color}'/>"


def _line(placed: Sequence[str]) -> str:
    """Path data; level and upright steps take one number."""
    steps = [f"M{placed[0]}"]
    for before, after in pairwise(placed):
        (x0, y0), (x, y) = before.split(","), after.split(",")
        steps.append(f"H{x}" if y == y0 else f"V{y}" if x == x0 else f"L{after}")
    return "".join(steps)


def _legend(points: Mapping[str, Points]) -> str:
    if len(points) < 2:
        return ""
    names = "".join(f"<tspan fill='{COLORS.get(model, COLORS['candidate'])}'> {model}</tspan>" for model in points)
    return f"<text y='84'>{names}</text>"
