"""The served releases by partition: the realised number with its interval, next to what was promised and what was estimated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml_assets.core.plots.style import COLORS, shorten, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_TICKS = 8


@dataclass(frozen=True)
class ServedPoint:
    """One release in one partition; None is not known. `is_provisional`: more outcomes may come."""

    partition: str
    realised: float | None
    low: float | None
    high: float | None
    promised: float | None
    estimated: float | None
    is_provisional: bool = False


def served_plot(points: Sequence[ServedPoint], *, title: str, y: str) -> bytes:
    """Realised points with their intervals, hollow while provisional; promises and estimates without labels as marks."""

    def draw(axes: "Axes") -> None:
        known = [(place, point) for place, point in enumerate(points) if point.realised is not None]
        for place, point in known:
            if point.low is not None and point.high is not None:
                axes.plot([place, place], [point.low, point.high], color=COLORS["candidate"], linewidth=1)
        for is_provisional, label in ((False, "realised"), (True, "realised so far")):
            chosen = [(place, point) for place, point in known if point.is_provisional == is_provisional]
            face = "white" if is_provisional else COLORS["candidate"]
            if chosen:
                places, values = [place for place, _ in chosen], [point.realised or 0.0 for _, point in chosen]
                axes.plot(places, values, "o", color=COLORS["candidate"], markerfacecolor=face, markersize=4, label=label)
        _marks(axes, [point.promised for point in points], "_", COLORS["champion"], "promised on the test window")
        _marks(axes, [point.estimated for point in points], "x", COLORS["actual"], "estimate without labels")
        axes.margins(y=0.35)  # room for the legend
        step = max(1, -(-len(points) // _MOST_TICKS))
        axes.set_xticks(range(0, len(points), step), [shorten(point.partition, 10) for point in points[::step]], rotation=30)

    return svg(draw, title=title, x="partition", y=y, grid="y")


def _marks(axes: "Axes", values: Sequence[float | None], marker: str, color: str, label: str) -> None:
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if known:
        places, numbers = zip(*known, strict=True)
        axes.plot(places, numbers, marker, color=color, markersize=6, label=label)
