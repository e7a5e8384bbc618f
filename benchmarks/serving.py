"""Predictions over HTTP: the endpoint next to a hello world, FastAPI, plain ASGI and MLflow, in turn, A B C A B C.

One row at a time on one connection (latency) and on 64 (throughput), and 100 rows at a time on 16.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import run
from benchmarks.servers.http_servers import Server, cpu_seconds, servers, started
from benchmarks.tables import spread, table

SECONDS = 3
MONTHS = 2
_LUA = """
wrk.method, wrk.headers["content-type"], wrk.body = "POST", "application/json", [==[{body}]==]
function done(summary, latency)
  local failed = summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("\\n@%.2f %.4f %.4f %d", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
"""
COLUMNS = {
    "p50_ms": "p50 ms, 1 connection",
    "p99_ms": "p99 ms",
    "one_row": "1 row, requests/s at 64",
    "many": "100 rows, at 16",
    "cpu_ms": "CPU ms each",
}


class Failed(Exception):
    """A server refused or dropped requests while it was measured."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """All servers, alternating, with the release of two replayed months; `months` does not matter here."""
    if shutil.which("wrk") is None:
        return {"left_out": "wrk is not installed (Debian: apt-get install wrk)"}
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as home:
        run("benchmarks.replay", ["--home", home, "--months", str(MONTHS)])
        return compare(Path(home), runs=runs)


def compare(home: Path, *, runs: int) -> dict[str, Any]:
    """The servers over the release that answers in `home`."""
    compared = servers(home, _bundle(home))
    rounds = [{server.name: _measured(server, home) for server in compared} for _ in range(runs)]
    sides = {server.name: {n: [result[server.name][n] for result in rounds] for n in COLUMNS} for server in compared}
    ratios = {name: _ratios(sides["endpoint"], side) for name, side in sides.items() if name != "endpoint"}
    return {"sides": sides, "ratios": ratios}


def _ratios(mine: Mapping[str, list[float]], other: Mapping[str, list[float]]) -> dict[str, float]:
    """How many times the other's requests, and how many times less CPU."""
    ratios = {name: median(mine[name]) / median(other[name]) for name in ("one_row", "many")}
    return ratios | {"cpu_ms": median(other["cpu_ms"]) / median(mine["cpu_ms"])}


def _bundle(home: Path) -> Path:
    """The bundle of the release that answers, checked out."""
    from ml_assets.cli.shared.workspace import Workspace
    from resources.settings import settings

    space = Workspace(settings({"ML_ASSETS_HOME": str(home)}))
    entry = space.ledger.pointer("flights", "production")
    assert entry is not None
    return space.snapshots.checkout(entry.body.bundle)


def _measured(server: Server, home: Path) -> dict[str, float]:
    scripts = {}
    for count, body in server.bodies.items():
        scripts[count] = home / f"{count}.lua"
        scripts[count].write_text(_LUA.replace("{body}", body))
    with started(server, home) as (base, group):
        url = base + server.path
        _wrk(url, scripts[1], connections=64, seconds=1)
        _, median_ms, slowest_ms = _wrk(url, scripts[1], connections=1, seconds=SECONDS)
        one_row, _, _ = _wrk(url, scripts[1], connections=64, seconds=SECONDS)
        before = cpu_seconds(group)
        many, _, _ = _wrk(url, scripts[100], connections=16, seconds=SECONDS)
        cpu = 1000 * (cpu_seconds(group) - before) / (many * SECONDS)
    return {"p50_ms": median_ms, "p99_ms": slowest_ms, "one_row": one_row, "many": many, "cpu_ms": cpu}


def _wrk(url: str, script: Path, *, connections: int, seconds: int) -> Sequence[float]:
    """Requests per second, and the median and 99th percentile of the latency in milliseconds."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(script), url]
    output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    rate, middle, slowest, failed = map(float, output.rpartition("@")[2].split())
    if failed:
        raise Failed(f"{' '.join(argv)}: {failed:.0f} requests failed")
    return rate, middle, slowest


def text(results: Mapping[str, Any]) -> str:
    """The table."""
    if "left_out" in results:
        return f"left out: {results['left_out']}"
    rows = [[name, *(spread(side[n]) for n in COLUMNS)] for name, side in results["sides"].items()]
    ratios = [
        f"{ratio['one_row']:.2f} and {ratio['many']:.2f} times {name}, with {ratio['cpu_ms']:.2f} times less CPU for 100 rows"
        for name, ratio in results["ratios"].items()
    ]
    header = ["server", *COLUMNS.values()]
    return table(header, rows) + "\n\nendpoint, medians of requests/s with 1 and 100 rows: " + "; ".join(ratios)
