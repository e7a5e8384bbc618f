"""The whole path against one plain script that does the same work, A B A B; what each of its steps takes, and what its tools take
by themselves."""

import math
import tempfile
from collections.abc import Collection, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.child import Spent, run
from benchmarks.tables import spread, table

EXTRAS = ("plots", "report")
"""Parts of the plain script that a script which only trains and evaluates would not have; the path's asset `report`."""
USED_BEFORE = 3
"""After as many months every step has run once: its imports are done, its stores are there."""


class NotTheSame(Exception):
    """The two sides did not do the same work."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """Both sides and the bare tools, alternating, each in a new process, and in a new home where one is needed."""
    paths, plains, tools = zip(*(_one_of_each(months) for _ in range(runs)), strict=True)
    without = median([_without(path, {"report"}) for path in paths]) / median([plain.cpu - _extras(plain) for plain in plains])
    sides = {"path": _side(paths), "plain script": _side(plains), "dbt, Dagster, MLflow alone": _side(tools)}
    ratio = {unit: median(sides["path"][unit]) / median(sides["plain script"][unit]) for unit in ("cpu", "wall")}
    return {
        "months": months,
        "sides": sides,
        "ratio": ratio | {"cpu_without_report": without},
        "later_month_to_promotion": _to_promotion([path.output["months"] for path in paths]),
        "steps": _steps([path.output["months"] for path in paths]),
        "plain_parts": _parts(plains),
        "tool_parts": _parts(tools),
    }


def _one_of_each(months: int) -> tuple[Spent, Spent, Spent]:
    with _home() as home:
        path = run("benchmarks.replay", ["--home", home, "--months", str(months)])
    plain = run("benchmarks.references.plain_script", ["--months", str(months)])
    if path.output["candidates"] != plain.output["candidates"]:
        raise NotTheSame(f"the path found {path.output['candidates']}, the plain script {plain.output['candidates']}")
    steps = max(len(month["steps"]) for month in path.output["months"])
    with _home() as home:
        tools = run("benchmarks.references.bare_tools", ["--home", home, "--months", str(months), "--steps", str(steps)])
    return path, plain, tools


def _home() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ml-assets-bench-")


def _parts(spent: Sequence[Spent]) -> dict[str, float]:
    """The median CPU seconds of each part of a reference."""
    return {name: median([process.output["parts"].get(name, 0.0) for process in spent]) for name in spent[0].output["parts"]}


def _extras(plain: Spent) -> float:
    return math.fsum(plain.output["parts"].get(name, 0.0) for name in EXTRAS)


def _without(path: Spent, stages: Collection[str]) -> float:
    return path.cpu - sum(_cpu_of(month, stages) for month in path.output["months"])


def _cpu_of(month: Mapping[str, Any], stages: Collection[str]) -> float:
    return math.fsum(step["cpu"] for name, step in month["steps"].items() if name.partition("__")[2] in stages)


def _to_promotion(runs: Sequence[Sequence[Mapping[str, Any]]]) -> float | None:
    """CPU seconds of a later month from its delivery until production serves its release; None where none was promoted."""
    later = [month["promoted"]["cpu"] for months in runs for month in months[USED_BEFORE:] if month["promoted"]]
    return median(later) if later else None


def _side(spent: Sequence[Spent]) -> dict[str, list[float]]:
    return {name: [getattr(process, name) for process in spent] for name in ("cpu", "wall", "peak_mb")}


def _steps(runs: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """For each step, in order: CPU seconds of all months, of its first month (it imports and creates stores), of a later one,
    and wall seconds of all months; medians over the runs."""
    names = dict.fromkeys(step for months in runs for month in months for step in month["steps"])
    checks = {step for months in runs for month in months for step in month["checks"]}
    steps = {name.partition("__")[2]: _step(runs, name) | {"is_check": name in checks} for name in names}
    between = [[_between(month) for month in months] for months in runs]
    return steps | {"between the steps": _summed(between) | {"is_check": False}}


def _step(runs: Sequence[Sequence[Mapping[str, Any]]], name: str) -> dict[str, Any]:
    return _summed([[month["steps"].get(name) for month in months] for months in runs])


def _between(month: Mapping[str, Any]) -> dict[str, float]:
    """Delivery, definitions, plan, and Dagster's record of the run."""
    return {unit: month[unit] - sum(step[unit] for step in month["steps"].values()) for unit in ("cpu", "wall")}


def _summed(runs: Sequence[Sequence[Mapping[str, float] | None]]) -> dict[str, Any]:
    later = [took["cpu"] for months in runs for took in months[USED_BEFORE:] if took]
    return {
        "cpu": median([sum(took["cpu"] for took in months if took) for months in runs]),
        "wall": median([sum(took["wall"] for took in months if took) for months in runs]),
        "cpu_a_later_month": median(later) if later else None,
    }


def text(results: Mapping[str, Any]) -> str:
    """The tables."""
    sides = [[name, *(spread(values) for values in side.values())] for name, side in results["sides"].items()]
    ratio = results["ratio"]
    rows = [
        [f"  check {name}" if step["is_check"] else name, step["cpu"], step["cpu_a_later_month"], step["wall"]]
        for name, step in results["steps"].items()
    ]
    parts, tools = ([[name, cpu] for name, cpu in results[side].items()] for side in ("plain_parts", "tool_parts"))
    later = results["later_month_to_promotion"]
    promoted = [f"A later month, from its delivery to promotion: {later:.1f} CPU s."] if later else []
    return "\n\n".join(
        [
            table([f"{results['months']} months, new process", "CPU s", "wall s", "peak MB"], sides),
            f"path / plain script, medians, with plots and Evidently report on both sides: CPU {ratio['cpu']:.2f}, "
            f"wall {ratio['wall']:.2f}; on neither: CPU {ratio['cpu_without_report']:.2f}",
            *promoted,
            table(["step of the path", "CPU s", "a later month", "wall s"], rows),
            table(["part of the plain script", "CPU s"], parts),
            table(["tool alone", "CPU s"], tools),
        ]
    )
