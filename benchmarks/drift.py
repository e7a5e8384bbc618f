"""Drift of one partition: histograms in one pass and a verdict from stored ones, next to Evidently's preset."""

import json
import sys
import time
import warnings
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.child import run
from benchmarks.tables import spread, table
from ml_assets.core.drift.histograms import count
from ml_assets.core.drift.verdict import DriftReference, Observed, follow, judged_alone

ROWS, EVIDENTLY_ROWS, COLUMNS, PAST = 1_000_000, 20_000, 15, 24
"""Evidently gets fewer rows: it takes 40 s for a million."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """Each side in new processes, alternating; `months` says nothing here."""
    seconds_by_part: dict[str, list[float]] = {}
    for _ in range(runs):
        for side in ("ours", "evidently"):
            for name, seconds in run("benchmarks.drift", [side]).output.items():
                seconds_by_part.setdefault(name, []).append(seconds)
    ours, theirs = median(seconds_by_part["count"]) / ROWS, median(seconds_by_part["preset"]) / EVIDENTLY_ROWS
    return {"seconds": seconds_by_part, "ratio": theirs / ours}


def text(results: Mapping[str, Any]) -> str:
    """The table."""
    seconds = results["seconds"]
    rows = [
        [f"histograms, {COLUMNS} columns, {ROWS:,} rows", spread(seconds["count"])],
        [f"verdict from stored histograms of {PAST} partitions", spread(seconds["judge"], 4)],
        [f"Evidently's DataDriftPreset, {EVIDENTLY_ROWS:,} rows a side", spread(seconds["preset"])],
    ]
    return "\n\n".join([table(["", "CPU s"], rows), f"Evidently / histograms, by row: {results['ratio']:.0f}"])


def frame(rows: int, seed: int) -> pl.DataFrame:
    """Six columns of normal numbers, four of whole ones, one with missing values, four of levels."""
    random = np.random.default_rng(seed)
    numbers = {f"normal{n}": random.normal(size=rows) for n in range(6)} | {
        f"whole{n}": random.integers(0, 1000, rows) for n in range(4)
    }
    levels = {f"level{n}": random.choice(["UA", "AA", "B6", "DL", "EV"], rows) for n in range(4)}
    some = pl.Series(np.where(random.random(rows) < 0.1, np.nan, random.gamma(2, 3, rows))).fill_nan(None)
    return pl.DataFrame({**numbers, **levels, "some": some})


def ours() -> dict[str, float]:
    """CPU seconds of one count and of one verdict, after everything is imported."""
    rows = frame(ROWS, 0)
    count(rows.head(1000))
    started = time.process_time()
    count(rows)
    counted = time.process_time() - started
    partitions = [Observed(f"{n:02}", n, 20_000, count(frame(20_000, n))) for n in range(PAST + 1)]
    follow(partitions[:9], DriftReference())
    started = time.process_time()
    judged_alone(partitions[:-1], partitions[-1], DriftReference())
    return {"count": counted, "judge": time.process_time() - started}


def evidently() -> dict[str, float]:
    """CPU seconds of one report, after everything is imported."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    before, now = (frame(EVIDENTLY_ROWS, seed).to_pandas() for seed in (0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Report([DataDriftPreset()]).run(now.head(500), before.head(500)).dict()
        started = time.process_time()
        Report([DataDriftPreset()]).run(now, before).dict()
    return {"preset": time.process_time() - started}


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"ours": ours, "evidently": evidently}[sys.argv[1]]()))
