"""One-row predictions over HTTP: latency on one connection and throughput on 64, against a hello world, A B A B."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import ROOT, run
from benchmarks.tables import spread, table

SECONDS = 5
MONTHS = 2
SERVERS = ("endpoint", "hello world")
_LUA = """
wrk.method, wrk.headers["content-type"], wrk.body = "POST", "application/json", [==[{body}]==]
function done(summary, latency)
  local failed = summary.errors.status + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("\\n@%.2f %.4f %.4f %d", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
"""


class Failed(Exception):
    """A server refused or dropped requests while it was measured."""


def measure(*, months: int, runs: int) -> dict[str, Any]:
    """Both servers, alternating, with the release of two replayed months; `months` does not matter here."""
    if shutil.which("wrk") is None:
        return {"left_out": "wrk is not installed (Debian: apt-get install wrk)"}
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as home:
        run("benchmarks.replay", ["--home", home, "--months", str(MONTHS)])
        script = Path(home) / "post.lua"
        script.write_text(_LUA.replace("{body}", json.dumps({"rows": [_request(home)]})))
        rounds = [{name: _measured(name, home, script) for name in SERVERS} for _ in range(runs)]
    sides = {name: {n: [each[name][n] for each in rounds] for n in rounds[0][name]} for name in SERVERS}
    endpoint, hello = (median(sides[name]["requests_per_second"]) for name in SERVERS)
    return {"sides": sides, "ratio": endpoint / hello}


def _request(home: str) -> Any:
    """The first golden request of the release that answers."""
    from resources.settings import settings
    from resources.workspace import Workspace

    space = Workspace(settings({"ML_ASSETS_HOME": home}))
    entry = space.ledger.pointer("flights", "production")
    assert entry is not None
    return json.loads(space.snapshots.read(entry.body["release"], "golden.json"))["requests"][0]


def _measured(name: str, home: str, script: Path) -> dict[str, float]:
    from ml_assets.serving.process import ServerProcess

    argv = {"endpoint": ["ml_assets", "serve", "flights"], "hello world": ["benchmarks.hello"]}[name]
    started = ["env", f"ML_ASSETS_HOME={home}", f"PYTHONPATH={ROOT}", sys.executable, "-m", *argv]
    with ServerProcess(started) as server:
        url = f"{server.base_url}/predict"
        _wrk(url, script, connections=64, seconds=1)
        _, median_ms, slowest_ms = _wrk(url, script, connections=1, seconds=SECONDS)
        rate, _, _ = _wrk(url, script, connections=64, seconds=SECONDS)
    return {"p50_ms": median_ms, "p99_ms": slowest_ms, "requests_per_second": rate}


def _wrk(url: str, script: Path, *, connections: int, seconds: int) -> Sequence[float]:
    """Requests per second, and the median and 99th percentile of the latency in milliseconds."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    rate, middle, slowest, failed = map(float, told.rpartition("@")[2].split())
    if failed:
        raise Failed(f"{' '.join(argv)}: {failed:.0f} requests failed")
    return rate, middle, slowest


def text(found: Mapping[str, Any]) -> str:
    """The table."""
    if "left_out" in found:
        return f"left out: {found['left_out']}"
    rows = [[name, *(spread(values) for values in side.values())] for name, side in found["sides"].items()]
    header = ["one-row requests", "p50 ms, 1 connection", "p99 ms", "requests/s, 64 connections"]
    return table(header, rows) + f"\n\nendpoint / hello world, medians: {found['ratio']:.3f} of its requests/s"
