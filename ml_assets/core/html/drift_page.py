"""Drift as one HTML page: each column's moved share by partition, in the band of its history. No script, nothing is
fetched.

Every text that comes in is escaped; places are computed here, the elements are in drift.html.jinja.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_assets.core.html.rendering import rendered

TEMPLATE = Path(__file__).with_name("drift.html.jinja")

WIDTH, HEIGHT, MARGIN = 300, 64, 4
SHOWN = 12
"""The newest partitions, which the table shows unfolded."""


@dataclass(frozen=True)
class PartitionRow:
    """One partition in the table: texts, with the states of data, scores and requests ("alarm", "watch", …)."""

    partition: str
    rows: str
    data: str
    data_why: str
    scores: str
    scores_why: str
    realised: str
    requests: str = ""
    requests_why: str = ""


@dataclass(frozen=True)
class Point:
    """A column in one partition: the share that moved, the band of the replays, and whether it exceeds."""

    partition: str
    moved: float
    low: float
    high: float
    exceeds: bool


@dataclass(frozen=True)
class DriftPicture:
    """A column as it is drawn: the SVG path of the band, that of the line, and the points."""

    column: str
    band: str
    line: str
    points: Sequence[tuple[float, float, str, bool]]
    top: str


def page(
    *, title: str, lead: str, lines: Sequence[PartitionRow], columns: Mapping[str, Sequence[Point]], ignored: Sequence[str]
) -> str:
    """The page; `columns` by name, those that exceed in any partition first, the `ignored` ones apart."""
    order = sorted(columns, key=lambda name: (-sum(p.exceeds for p in columns[name]), name))
    partitions = sorted({point.partition for points in columns.values() for point in points})
    drawn = [_picture(name, columns[name], partitions) for name in order if columns[name]]
    return rendered(
        TEMPLATE,
        title=title,
        lead=lead,
        lines=lines,
        judged=[picture for picture in drawn if picture.column not in ignored],
        ignored=[picture for picture in drawn if picture.column in ignored],
        width=WIDTH,
        height=HEIGHT,
        shown=SHOWN,
        span=" to ".join(dict.fromkeys([*partitions[:1], *partitions[-1:]])),
        was_asked=any(line.requests_why for line in lines),
    )


def _picture(column: str, points: Sequence[Point], partitions: Sequence[str]) -> DriftPicture:
    """Every partition has the same place in all pictures, also in those of columns that have no verdict on some."""
    top = min(1.0, max(0.05, *(max(point.moved, point.high) for point in points)) * 1.1)
    step = (WIDTH - 2 * MARGIN) / max(len(partitions) - 1, 1)
    across = {partition: round(MARGIN + number * step, 1) for number, partition in enumerate(partitions)}

    def place(point: Point, share: float) -> tuple[float, float]:
        return across[point.partition], round(HEIGHT - MARGIN - share / top * (HEIGHT - 2 * MARGIN), 1)

    upper = [place(point, point.high) for point in points]
    lower = [place(point, point.low) for point in points]
    moved = [place(point, point.moved) for point in points]
    labels = [
        f"{point.partition}: {point.moved:.1%} moved, in nine of ten past comparisons {point.low:.1%} to {point.high:.1%}"
        for point in points
    ]
    dots = [(*at, words, point.exceeds) for at, words, point in zip(moved, labels, points, strict=True)]
    return DriftPicture(column, _path([*upper, *reversed(lower)]) + " Z", _path(moved), dots, f"{top:.0%}")


def _path(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{'L' if number else 'M'}{x} {y}" for number, (x, y) in enumerate(places))
