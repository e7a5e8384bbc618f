"""A range of daily partitions run in one process, against one process for each: the outcome has to be the same."""

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import ROOT, spend
from benchmarks.tables import spread, table
from tests.support.homes.shop import SHOP, csv_bytes, rows

DAYS = [f"2024-03-{day:02}" for day in range(1, 31)]
ALONE = 6
"""Days that are run one by one, the last of the range: the first ones train nothing."""


class NotTheSame(Exception):
    """The range did not end as single runs do."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """All days in one process, and the last days again in processes of their own, from the same state before them."""
    pairs = [_pair() for _ in range(runs)]
    ranges, alone = ([pair[side] for pair in pairs] for side in (0, 1))
    return {
        "days": len(DAYS),
        "range": {"cpu": ranges, "cpu_a_day": [cpu / len(DAYS) for cpu in ranges]},
        "alone": {"cpu_a_day": alone},
        "ratio": median(alone) * len(DAYS) / median(ranges),
    }


def _pair() -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as folder:
        whole, single = (_home(Path(folder) / name) for name in ("range", "single"))
        cpu = _run(whole, "--from", DAYS[0], "--to", DAYS[-1])
        _run(single, "--from", DAYS[0], "--to", DAYS[-ALONE - 1])
        alone = [_run(single, "--partition", day) for day in DAYS[-ALONE:]]
        if _releases(whole) != _releases(single):
            raise NotTheSame(f"the range gave {_releases(whole)}, single runs {_releases(single)}")
        return cpu, median(alone)


def _home(folder: Path) -> dict[str, str]:
    """The variables of a home with the shop, all of whose days are delivered."""
    shutil.copytree(SHOP, folder / "products" / "shop")
    landing = folder / "home" / "landing" / "shop" / "orders"
    landing.mkdir(parents=True)
    for day in DAYS:
        (landing / f"{day}.csv").write_bytes(csv_bytes(rows(day)))
    return {"ML_ASSETS_HOME": str(folder / "home"), "ML_ASSETS_PRODUCTS": str(folder / "products")}


def _run(environ: Mapping[str, str], *arguments: str) -> float:
    return spend([sys.executable, "-m", "ml_assets", "run", "shop", *arguments, "--json"], environ=environ, cwd=ROOT).cpu


def _releases(environ: Mapping[str, str]) -> dict[str, Any]:
    """The release that serves after all days, and the verdict of each."""
    status = spend([sys.executable, "-m", "ml_assets", "status", "shop", "--json"], environ=environ, cwd=ROOT).output
    return {row["partition"]: row.get("release") for row in json.loads(status)["partitions"]}


def text(results: Mapping[str, Any]) -> str:
    """The table."""
    sides = [
        [f"{results['days']} days, one process", spread(results["range"]["cpu_a_day"])],
        ["a process for each day", spread(results["alone"]["cpu_a_day"])],
    ]
    return "\n\n".join([table(["`run --from --to`", "CPU s a day"], sides), f"one by one / range: CPU {results['ratio']:.2f}"])
