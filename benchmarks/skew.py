"""How often `requests_match_training` is an alarm of requests without skew: those of a partition are one more draw of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.rates import JUDGED, WORLDS, rate, rates_table
from benchmarks.simulations.drift_rates import Rates, false_skew
from benchmarks.simulations.drift_worlds import History

COLUMNS, PAST = (5, 27), (6, 12)
REQUESTS = {1_000: (40, 1_000, 4_000), 100_000: (40, 1_000, 100_000)}
"""By the rows of a partition; more than four times as many requests have no verdict."""


def measure(*, months: int, runs: int) -> list[dict[str, Any]]:
    """`runs` thousand partitions for each kind of history and number of columns, rows and requests."""
    return [
        _rate(world, rows, requests, columns, runs * 1000)
        for columns in COLUMNS
        for world in WORLDS
        for rows, several in REQUESTS.items()
        for requests in several
    ]


def text(results: list[Mapping[str, Any]]) -> str:
    """The table."""
    return rates_table(["history", "columns", "rows", "requests"], results)


def _rate(history: History, rows: int, requests: int, columns: int, partitions: int) -> dict[str, Any]:
    random = np.random.default_rng([13, rows, requests, columns, len(history)])

    def judge(past: int, worlds: int) -> Rates:
        return false_skew(
            history, rows=rows, requests=requests, columns=columns, past=past, judged=JUDGED, worlds=worlds, random=random
        )

    about = {"history": history, "columns": columns, "rows": rows, "requests": requests}
    return about | rate(partitions, PAST, judge)
