"""The state of a product as one HTML page: facts for a person on call, then figures over partitions. No script, nothing fetched.

Every text that comes in is escaped; places are computed here, the elements are in status.html.jinja.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_assets.core.html.rendering import rendered

TEMPLATE = Path(__file__).with_name("status.html.jinja")

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 620, 150, 52, 10, 10, 20
SHOWN = 12
"""The newest partitions, which the table shows unfolded."""


@dataclass(frozen=True)
class Fact:
    """A line at the top: its name, its text, and how urgent it is ("", "warning", "error"). `commands` are what to do."""

    name: str
    text: str
    tone: str = ""
    commands: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """A figure over partitions: the `lines` by name, one value a partition, None where there is none; a `limit`, and
    the partitions whose point is marked in red."""

    title: str
    lines: Mapping[str, Sequence[float | None]]
    limit: float | None = None
    begins_at_zero: bool = False
    alarms: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Row:
    """A partition in the table, in texts."""

    partition: str
    rows: str
    quarantined: str
    candidate: str
    champion: str
    verdict: str
    drift: str
    realised: str
    release: str


@dataclass(frozen=True)
class DrawnLine:
    """A line as it is drawn: SVG path data, and points with what each says."""

    name: str
    number: int
    path: str
    points: Sequence[tuple[float, float, str, bool]]


@dataclass(frozen=True)
class StatusPicture:
    """A chart as it is drawn; `ticks` are heights with their labels, `limit` is a height, `releases` places with names."""

    title: str
    drawn: Sequence[DrawnLine]
    ticks: Sequence[tuple[float, str]]
    limit: float | None
    releases: Sequence[tuple[float, str]]


def page(
    *,
    title: str,
    lead: str,
    facts: Sequence[Fact],
    charts: Sequence[Chart],
    rows: Sequence[Row],
    partitions: Sequence[str],
    releases: Mapping[str, str],
) -> str:
    """The page. `partitions` are those of the charts, in order; `releases` the names of what was promoted, by partition."""
    drawn = [picture(chart, partitions, releases) for chart in charts if _values(chart)]
    return rendered(
        TEMPLATE,
        title=title,
        lead=lead,
        facts=facts,
        pictures=drawn,
        rows=rows,
        shown=SHOWN,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        base=HEIGHT - BOTTOM,
        first=partitions[0] if partitions else "",
        last=partitions[-1] if partitions else "",
    )


def picture(chart: Chart, partitions: Sequence[str], releases: Mapping[str, str]) -> StatusPicture:
    """The chart with its places computed."""
    low, high = _range(chart)
    step = (WIDTH - LEFT - RIGHT) / max(len(partitions) - 1, 1)

    def across(number: int) -> float:
        return round(LEFT + number * step, 1)

    def up(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    drawn = []
    for number, (name, values) in enumerate(chart.lines.items()):
        there = [(place, value) for place, value in enumerate(values) if value is not None]
        points = [
            (across(place), up(value), f"{partitions[place]}: {name} {_number(value)}", partitions[place] in chart.alarms)
            for place, value in there
        ]
        runs = [("M" if not k or there[k - 1][0] + 1 < there[k][0] else "L", *points[k][:2]) for k in range(len(there))]
        drawn.append(DrawnLine(name, number, " ".join(f"{verb}{x} {y}" for verb, x, y in runs), points))
    ticks = [(up(value), _number(value)) for value in (low, (low + high) / 2, high)]
    marks = [(across(place), releases[key]) for place, key in enumerate(partitions) if key in releases]
    limit = up(chart.limit) if chart.limit is not None and low <= chart.limit <= high else None
    return StatusPicture(chart.title, drawn, ticks, limit, marks)


def _values(chart: Chart) -> list[float]:
    return [value for values in chart.lines.values() for value in values if value is not None]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _range(chart: Chart) -> tuple[float, float]:
    """The lowest and the highest value that are shown, with some room between them; a limit is shown where values are near."""
    values = _values(chart)
    low, high = (0.0 if chart.begins_at_zero else min(values)), max(values)
    if chart.limit is not None and (chart.begins_at_zero or low - (high - low) <= chart.limit <= high + (high - low)):
        low, high = min(low, chart.limit), max(high, chart.limit)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return (low if chart.begins_at_zero else low - room), high + room
