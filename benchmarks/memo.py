"""Doing it again: the same months, delivered a second time to the same home, against the first time."""

import tempfile
from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.child import Spent, run
from benchmarks.tables import spread, table


class NotReused(Exception):
    """Something was computed again though nothing had changed."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """The first time once, the same again `runs` times; each in a new process."""
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as home:
        first = run("benchmarks.replay", ["--home", home, "--months", str(months)])
        again = [_again(home, months) for _ in range(runs)]
    spent = {unit: [getattr(process, unit) for process in again] for unit in ("cpu", "wall", "peak_mb")}
    return {
        "months": months,
        "first": {unit: getattr(first, unit) for unit in spent},
        "again": spent,
        "ratio": {unit: median(spent[unit]) / getattr(first, unit) for unit in ("cpu", "wall")},
    }


def _again(home: str, months: int) -> Spent:
    spent = run("benchmarks.replay", ["--home", home, "--months", str(months)])
    if rebuilt := [month["partition"] for month in spent.output["months"] if month["made"]]:
        raise NotReused(f"computed again: {', '.join(rebuilt)}")
    return spent


def text(results: Mapping[str, Any]) -> str:
    """The table."""
    rows = [["first time", *(spread([value]) for value in results["first"].values())]]
    rows += [["again, nothing has changed", *(spread(values) for values in results["again"].values())]]
    ratio = results["ratio"]
    return "\n\n".join(
        [
            table([f"{results['months']} months, new process", "CPU s", "wall s", "peak MB"], rows),
            f"again / first: CPU {ratio['cpu']:.3f}; wall {ratio['wall']:.3f}",
        ]
    )
