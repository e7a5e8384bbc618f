"""Pictures that several tasks share: distributions, lines over units, slices, bars."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ml_assets.core.evaluation.curves import Curve
from ml_assets.core.evaluation.result import Evaluation, Slice
from ml_assets.core.metrics.intervals import Estimate
from ml_assets.core.plots.style import COLORS, INK, STYLES, shorten, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_SLICES = 14
SHOWN_BARS = 15


def lines(axes: "Axes", curves: Mapping[str, Curve], *, marker: str = "", values: Mapping[str, str] | None = None) -> None:
    """One line per model, candidate last so that it lies on top; `values` go next to the names."""
    for model in reversed(list(curves)):
        curve = curves[model]
        label = model + (values or {}).get(model, "")
        color, style = COLORS[model], STYLES[model]
        axes.plot(curve.x, curve.y, color=color, linestyle=style, marker=marker, markersize=3.5, label=label)


def distribution(curves: Mapping[str, Curve], *, title: str, x: str) -> bytes:
    """Shares of rows by bin, as outlines that do not hide each other."""

    def draw(axes: "Axes") -> None:
        for model in reversed(list(curves)):
            edges, shares = curves[model].x, curves[model].y
            color, style = COLORS[model], STYLES[model]
            axes.stairs(shares, edges, color=color, linestyle=style, linewidth=1.6, label=model)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(_percent)

    return svg(draw, title=title, x=x, y="share of rows", grid="y")


def _percent(value: float, position: float) -> str:
    del position
    return f"{100 * value:g}%"


def slices(evaluation: Evaluation) -> bytes:
    """The first metric by slice: the difference with its interval, or the candidate where there is no champion."""
    metric = evaluation.overall[0].metric
    shown = sorted(evaluation.slices, key=lambda part: -part.rows)[:SHOWN_SLICES]
    parts = [part for part in evaluation.slices if part in shown][::-1]
    overall = evaluation.overall[0].difference or evaluation.overall[0].candidate

    def draw(axes: "Axes") -> None:
        axes.axvline(overall.value, color="#9A9A9A", linewidth=1, linestyle=":", label="all rows")
        if evaluation.has_champion:
            axes.axvline(0, color=INK, linewidth=0.8)
        for row, part in enumerate(parts):
            _dot(axes, row, _estimate_of(part))
        axes.set_yticks(range(len(parts)), [f"{part.column} {shorten(part.level, 12)} ({part.rows:,})" for part in parts])
        axes.set_ylim(-0.6, len(parts) - 0.4)

    hidden = len(evaluation.slices) - len(parts)
    title = f"{metric} by slice" + (f" (largest {len(parts)}, {hidden} not shown)" if hidden else "")
    label = f"{metric}, candidate − champion" if evaluation.has_champion else f"{metric} of the candidate"
    return svg(draw, title=title, x=f"{label}, {evaluation.level:.0%} interval", y="", grid="x")


def _estimate_of(part: Slice) -> Estimate:
    return part.comparisons[0].difference or part.comparisons[0].candidate


def _dot(axes: "Axes", row: int, estimate: Estimate) -> None:
    axes.plot([estimate.low, estimate.high], [row, row], color=COLORS["candidate"], linewidth=1.4)
    axes.plot([estimate.value], [row], color=COLORS["candidate"], marker="o", markersize=4)


def bars(pairs: Sequence[tuple[str, float]], *, title: str, x: str, limit: float | None = None) -> bytes:
    """Horizontal bars, largest first; those over the limit are highlighted."""
    shown = sorted(pairs, key=lambda pair: -pair[1])[:SHOWN_BARS][::-1]

    def draw(axes: "Axes") -> None:
        colors = [COLORS["champion" if limit is not None and value > limit else "candidate"] for _, value in shown]
        axes.barh(range(len(shown)), [value for _, value in shown], color=colors, height=0.65)
        axes.set_yticks(range(len(shown)), [shorten(name, 24) for name, _ in shown])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.set_xlim(left=0)
        if limit is not None:
            axes.axvline(limit, color=INK, linewidth=1, linestyle="--", label=f"limit {limit:g}")

    hidden = len(pairs) - len(shown)
    return svg(draw, title=title + (f" (top {len(shown)} of {len(pairs)})" if hidden else ""), x=x, y="", grid="x")
