"""The servers of the serving benchmark: how each is started, and what it is asked."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.child import ROOT

PATIENCE = 90


@dataclass(frozen=True)
class Server:
    """`argv` gets `--port N`; `bodies` are requests by their number of rows."""

    name: str
    argv: tuple[str, ...]
    bodies: dict[int, str]
    path: str = "/predict"
    alive: str = "/livez"


class NotStarted(Exception):
    """A server did not answer in time."""


def servers(home: Path, bundle: Path) -> list[Server]:
    """The endpoint and what it is compared with, over the release of `home`, whose bundle is checked out at `bundle`."""
    from ml_assets.serving.release.bundle import load

    loaded = load(bundle)
    golden = json.loads((bundle / "golden.json").read_bytes())["requests"]
    key, *_ = loaded.card.key  # no two rows of a request may ask about the same
    rows = [row | {key: f"{row[key]} {number}"} for number in range(100) if (row := golden[number % len(golden)])]
    names = [feature["name"] for feature in loaded.card.features]
    computed = loaded.features_of(loaded.requests.convert(rows)).rows(loaded.card.features)
    finished = [dict(zip(names, map(_as_json, row), strict=True)) for row in computed]
    requests = {count: json.dumps({"rows": rows[:count]}) for count in (1, 100)}
    ready = {count: json.dumps({"rows": finished[:count]}) for count in (1, 100)}
    frames = {count: json.dumps({"dataframe_records": finished[:count]}) for count in (1, 100)}
    plain = ("-m", "benchmarks.servers.plain_servers")
    at = ("--bundle", str(bundle))
    mlflow = ("-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "1", "-m", str(_as_mlflow(home, bundle)))
    return [
        Server("endpoint", ("-m", "ml_assets", "serve", "flights"), requests),
        Server("endpoint, 2 workers", ("-m", "ml_assets", "serve", "flights", "--workers", "2"), requests),
        Server("hello world, same server", ("-m", "benchmarks.servers.hello"), requests),
        Server("FastAPI, finished features", (*plain, "fastapi", "--work", "finished", *at), ready),
        Server("FastAPI, same work", (*plain, "fastapi", "--work", "same", *at), requests),
        Server("ASGI + msgspec, finished features", (*plain, "plain", "--work", "finished", *at), ready),
        Server("ASGI + msgspec, finished, one thread", (*plain, "plain", "--work", "finished", "--threads", "1", *at), ready),
        Server("ASGI + msgspec, same work", (*plain, "plain", "--work", "same", *at), requests),
        Server("mlflow models serve, finished features", mlflow, frames, path="/invocations", alive="/ping"),
    ]


def _as_json(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _as_mlflow(home: Path, bundle: Path) -> Path:
    from ml_assets.core.model.scoring import load_model

    folder = home / "as_mlflow"
    if not folder.exists():
        import mlflow.catboost

        mlflow.catboost.save_model(load_model(bundle / "model.cbm", "binary"), str(folder), pip_requirements=["catboost"])
    return folder


@contextmanager
def started(server: Server, home: Path) -> Iterator[tuple[str, int]]:
    """The base URL of the running server, and its process group, which is ended after."""
    port = _free_port()
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "ML_ASSETS_HOME": str(home), "PYTHONPATH": str(ROOT)}
    quiet["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # MLflow looks for uvicorn there
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as err:
        argv = [sys.executable, *server.argv, "--port", str(port)]
        process = subprocess.Popen(argv, env=kept | quiet, stdout=err, stderr=err, start_new_session=True, cwd=ROOT)
        try:
            base = f"http://127.0.0.1:{port}"
            _wait(process, base + server.alive, err)
            yield base, process.pid
        finally:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def cpu_seconds(group: int) -> float:
    """What the processes of a group have used so far, user and system."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = stat.read_text().rpartition(") ")[2].split()
            ticks += (int(fields[11]) + int(fields[12])) * (int(fields[2]) == group)
    return ticks / os.sysconf("SC_CLK_TCK")


def _wait(process: "subprocess.Popen[bytes]", url: str, err: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > until:
            err.seek(0)
            raise NotStarted(f"{url}: {err.read().decode(errors='replace')[-3000:]}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
