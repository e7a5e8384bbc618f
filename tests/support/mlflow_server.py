"""A real MLflow server that keeps artifacts itself."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml_assets.services.supervision.parts import QUIET
from tests.support.command_line import free_port

SECONDS_TO_START = 120


class MlflowServer:
    """In a folder of its own; it can be killed and started again."""

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self.url, self.folder = f"http://{address}:{free_port()}", folder
        host, port = self.url.removeprefix("http://").split(":")
        served = ["--serve-artifacts", "--artifacts-destination", (folder / "artifacts").as_uri()]
        stored = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--default-artifact-root", "mlflow-artifacts:/"]
        self._command = ["mlflow", "server", "--host", host, "--port", port, "--workers", "1", *served, *stored]
        self._environ = {**os.environ, **QUIET, "MLFLOW_SERVER_ALLOWED_HOSTS": f"{host}:{port}"}

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "mlflow.log").open("ab") as log:
            command = [sys.executable, "-m", *self._command]
            self._process = subprocess.Popen(command, env=self._environ, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "mlflow.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "MLflow does not answer"
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, to its workers too."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def mlflow_server(folder: Path, address: str = "127.0.0.1") -> Iterator[MlflowServer]:
    """A server of its own, started."""
    folder.mkdir()
    server = MlflowServer(folder, address)
    server.start()
    try:
        yield server
    finally:
        server.kill()
