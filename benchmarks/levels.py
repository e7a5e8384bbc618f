"""The levels that the bound keeps, and its power, on simulated units whose truth is known: the table of docs/gates.md.

Every cell has its own fixed seed, so a table comes out again to the digit.
"""

from collections.abc import Mapping
from typing import Any

import click

from benchmarks.simulations.unit_worlds import WORLDS, UnitWorld, improvement_of, let_through

LEVELS = (0.01, 0.05)
UNITS, PAST, POWERED = (20, 30, 60), (0, 2, 5), (0, 5)
WINDOWS = 1000
"""In each cell, for each run."""
LEVEL_SEED, POWER_SEED = 1, 2


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """`runs` thousand windows a cell. `months` decides nothing. A row is printed as soon as it is there."""
    rows = []
    for name, world in WORLDS.items():
        for units in UNITS:
            rows.append(_row(name, world, units, windows=runs * WINDOWS))
            click.echo(_line(rows[-1]), err=True)
    return {"rows": rows, "windows": runs * WINDOWS}


def _row(name: str, world: UnitWorld, units: int, *, windows: int) -> dict[str, Any]:
    def shares(past: int, seed: int, improvement: float = 0.0) -> list[float]:
        return let_through(world, units=units, past=past, levels=LEVELS, windows=windows, seed=seed, improvement=improvement)

    better = improvement_of(world)
    return {
        "world": name,
        "units": units,
        "let_through": {str(past): shares(past, LEVEL_SEED) for past in PAST},
        "power": {str(past): shares(past, POWER_SEED, better) for past in POWERED},
    }


def text(measured: Mapping[str, Any]) -> str:
    """The table in Markdown, in percent."""
    head = ["world", "units", *(f"M = {past}" for past in PAST), f"power, M = {POWERED[0]}", f"M = {POWERED[1]}"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *map(_line, measured["rows"])]
    return "\n".join([f"{measured['windows']:,} windows a cell, seeds {LEVEL_SEED} and {POWER_SEED}", "", *lines])


def _line(row: Mapping[str, Any]) -> str:
    levels = [f"{100 * one:.2f}/{100 * five:.1f}" for one, five in row["let_through"].values()]
    powers = [f"{100 * one:.0f}/{100 * five:.0f}" for one, five in row["power"].values()]
    return f"| {' | '.join([row['world'], str(row['units']), *levels, *powers])} |"
