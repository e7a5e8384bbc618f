"""The rate of false alarms over several lengths of history, and its table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.simulations.drift_rates import Rates
from benchmarks.simulations.drift_worlds import History
from benchmarks.tables import table

WORLDS: tuple[History, ...] = ("stationary", "seasons", "heavy")
JUDGED = 10
"""Partitions that are judged of each world."""


def rate(partitions: int, past: Sequence[int], judge: Callable[[int, int], Rates]) -> dict[str, Any]:
    """At least `partitions` judged, as many after each number of `past` ones. `judge` takes past partitions and worlds."""
    worlds = max(2, -(-partitions // (JUDGED * len(past))))
    parts = [judge(before, worlds) for before in past]
    alarms = float(np.mean([part.alarms for part in parts]))
    beyond = float(np.sqrt(np.sum([(part.alarms_upper - part.alarms) ** 2 for part in parts]))) / len(parts)
    watches = float(np.mean([part.watches for part in parts]))
    return {"partitions": sum(part.partitions for part in parts), "alarms": alarms, "limit": alarms + beyond, "watches": watches}


def rates_table(about: Sequence[str], rates: Sequence[Mapping[str, Any]]) -> str:
    """`about` names what sets the rows apart."""
    header = [*about, "partitions", "alarms", "at most (99 %)", "watches"]
    return table(header, [[*(_cell(r[name]) for name in (*about, "partitions")), *_shares(r)] for r in rates])


def _shares(rates: Mapping[str, Any]) -> list[str]:
    return [f"{rates[name]:.2%}" for name in ("alarms", "limit", "watches")]


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
