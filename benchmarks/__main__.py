"""`python -m benchmarks [path] [memo] …`: measure, print tables, and how to repeat them."""

import importlib
import json
import platform
import sys
import time
from typing import Any

import click

NAMES = (
    "path",
    "memo",
    "serving",
    "lineage",
    "plan",
    "gates",
    "drift",
    "alarms",
    "skew",
    "policies",
    "ticks",
    "many",
    "backfill",
    "requests",
    "levels",
    "windows",
)
IF_NAMED = ("windows", "many")
"""Measured only where they are named: one reads what `make demo` left, the other takes half an hour."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option(
    "--months", type=click.IntRange(1, 12), default=4, show_default=True, help="Months to replay; a first fit is in the second."
)
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True, help="How often; medians are compared.")
@click.option("--dvc", help="A dvc command to measure `dvc status` with, next to `plan`.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
def main(names: tuple[str, ...], months: int, runs: int, dvc: str | None, as_json: bool) -> None:
    """Measure the path. NAMES: path (time by step, CPU against a plain script), memo (the same again), serving (latency and
    throughput against a hello world), lineage (a large ledger, against recursive SQL), plan (nothing to do,
    next to `dvc status`, and for 10,000 partitions), drift (histograms and verdict next to Evidently's preset), alarms (how
    often an alarm of drift is false, and what it finds on flights by week; --runs counts thousands of partitions), skew (how
    often one of requests is, that are like the data; --runs counts as in alarms), policies (of retraining, on flights by week;
    --runs counts replicates), ticks (of each sensor, with 10,000 known partitions), many (what looking costs, by products and
    partitions), backfill (a range of days in one process, against one for each), requests (of each command to an object store),
    levels (of the gates' bound and its power, on simulated units; --runs counts thousands of windows a cell), windows (what stops
    models of which neither is better, on the home of `make demo`; --runs counts hundreds of windows); all of them but windows
    and many if none is named."""
    results: dict[str, Any] = {"machine": machine()}
    for name in names or [name for name in NAMES if name not in IF_NAMED]:
        module: Any = importlib.import_module(f"benchmarks.{name}")
        started = time.monotonic()
        results[name] = module.measure(months=months, runs=runs, **({"dvc": dvc} if name == "plan" else {}))
        if not as_json:
            click.echo(f"== {name}: {runs} runs, {time.monotonic() - started:.0f} s\n\n{module.text(results[name])}\n")
    if as_json:
        click.echo(json.dumps(results, indent=1))
        return
    click.echo(f"{results['machine']}\nrepeat: {' '.join(['python -m benchmarks', *sys.argv[1:]])}")


def machine() -> str:
    """What the numbers were measured on."""
    import psutil  # type: ignore[import-untyped]

    memory = psutil.virtual_memory().total / 2**30
    load = psutil.getloadavg()[0]
    return f"{psutil.cpu_count()} cores, {memory:.0f} GB, Python {platform.python_version()}, load average {load:.1f}"


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
