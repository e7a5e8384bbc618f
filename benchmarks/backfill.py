"""A range of daily partitions run in one process, with all pages and with those of the last day, against one process for each of
the days that follow."""

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import ROOT, spend
from benchmarks.tables import spread, table
from tests.support.homes.shop import SHOP, csv_bytes, rows

DAYS = 30
"""Days of the range."""
ALONE = 5
"""Days after it that are run one by one, from the state that the range left: each of the 30 would take their median. The first
day of the range trains nothing, so this counts one run too much."""
FIRST = date(2024, 3, 1)
KEYS = [(FIRST + timedelta(days=number)).isoformat() for number in range(DAYS + ALONE)]
RANGE = ("--from", KEYS[0], "--to", KEYS[DAYS - 1])


class NotTheSame(Exception):
    """A day did not end as the days before it."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """All days of the range in one process, then the days after it in processes of their own."""
    pairs = [_pair() for _ in range(runs)]
    ranges, alone = ([pair[side] for pair in pairs] for side in (0, 1))
    few_pages = [_range_with_few_pages() for _ in range(runs)]
    sides = {"all_pages": ranges, "pages_of_the_last": few_pages}
    return {
        "days": DAYS,
        "alone_days": ALONE,
        "range": {side: {"cpu": cpu, "cpu_a_day": [seconds / DAYS for seconds in cpu]} for side, cpu in sides.items()},
        "alone": {"cpu_a_day": alone},
        "ratio": {side: median(alone) * DAYS / median(cpu) for side, cpu in sides.items()},
    }


def _pair() -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as folder:
        home = _home(Path(folder))
        cpu = _run(home, *RANGE, "--pages", "all")
        alone = [_run(home, "--partition", day) for day in KEYS[DAYS:]]
        _require_verdicts(home, KEYS)
        return cpu, median(alone)


def _range_with_few_pages() -> float:
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as folder:
        home = _home(Path(folder))
        cpu = _run(home, *RANGE)
        _require_verdicts(home, KEYS[:DAYS])
        return cpu


def _require_verdicts(environ: Mapping[str, str], days: Sequence[str]) -> None:
    evaluated = _evaluated(environ)
    if missing := [day for day in days[1:] if day not in evaluated]:
        raise NotTheSame(f"{', '.join(missing)} have no verdict")


def _home(folder: Path) -> dict[str, str]:
    """The variables of a home with the shop, all of whose days are delivered."""
    declared = folder / "products" / "shop"
    shutil.copytree(SHOP, declared)
    text = (declared / "product.yaml").read_text()
    (declared / "product.yaml").write_text(text.replace("end: 2024-04-01", "end: 2024-05-01"))  # a month is too short
    landing = folder / "home" / "landing" / "shop" / "orders"
    landing.mkdir(parents=True)
    for day in KEYS:
        (landing / f"{day}.csv").write_bytes(csv_bytes(rows(day)))
    return {"ML_ASSETS_HOME": str(folder / "home"), "ML_ASSETS_PRODUCTS": str(folder / "products")}


def _run(environ: Mapping[str, str], *arguments: str) -> float:
    return spend([sys.executable, "-m", "ml_assets", "run", "shop", *arguments, "--json"], environ=environ, cwd=ROOT).cpu


def _evaluated(environ: Mapping[str, str]) -> set[str]:
    """The days whose candidate has a verdict."""
    status = spend([sys.executable, "-m", "ml_assets", "status", "shop", "--json"], environ=environ, cwd=ROOT).output
    return {row["partition"] for row in json.loads(status)["partitions"] if row.get("verdict")}


def text(results: Mapping[str, Any]) -> str:
    """The table."""
    sides = [
        [f"{results['days']} days, one process", spread(results["range"]["pages_of_the_last"]["cpu_a_day"])],
        ["the same, `--pages all`", spread(results["range"]["all_pages"]["cpu_a_day"])],
        [f"a process for each day (of {results['alone_days']} further days)", spread(results["alone"]["cpu_a_day"])],
    ]
    ratio = results["ratio"]
    ratios = f"one by one / range: CPU {ratio['pages_of_the_last']:.2f}, with the pages of all days {ratio['all_pages']:.2f}"
    return "\n\n".join([table(["`run --from --to`", "CPU s a day"], sides), ratios])
