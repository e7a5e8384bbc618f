"""Pictures of what served, partition by partition: the monitored metric and, where it is declared, the value of a row."""

from collections.abc import Sequence

from ml_assets.core.plots.served import ServedPoint, served_plot
from ml_assets.services.outcomes.scoreboard import ScoreboardLine

NEWEST = 36
"""Lines that a picture shows at most."""


def pictures(lines: Sequence[ScoreboardLine]) -> dict[str, bytes]:
    """SVG pictures by name, one for each way of serving; of the newest lines."""
    drawn = {}
    for source in dict.fromkeys(line.source for line in lines):
        served = [line for line in lines if line.source == source][-NEWEST:]
        metric = served[-1].metric
        points = [_metric(line) for line in served]
        drawn[f"{metric}_{source}"] = served_plot(points, title=f"{metric} of what was served ({source})", y=metric)
        if served[-1].has_worth:
            worth = [_worth(line) for line in served]
            drawn[f"value_{source}"] = served_plot(worth, title=f"Value of a row that was served ({source})", y="value a row")
    return drawn


def _metric(line: ScoreboardLine) -> ServedPoint:
    known = (line.value, line.low, line.high, line.promised, line.estimate)
    return ServedPoint(line.partition, *known, is_provisional=bool(line.provisional))


def _worth(line: ScoreboardLine) -> ServedPoint:
    known = (line.worth, line.worth_low, line.worth_high, line.worth_promised, line.worth_estimate)
    return ServedPoint(line.partition, *known, is_provisional=bool(line.provisional))
