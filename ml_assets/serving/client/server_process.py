"""The real server in a process of its own, for staging and tests."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ml_assets.errors import MlAssetsError
from ml_assets.serving.client import http_client as client

SHOWN_BYTES = 4000


class ServerDied(MlAssetsError):
    """The server process ended, or wasn't ready in time; the message has the end of its stderr."""


class ServerProcess:
    """Runs `argv --port 0 --ready-file FILE` and waits until it is ready; `base_url` is where it serves. Raises ServerDied.

    `environ` is added to this process's environment.
    """

    def __init__(
        self, argv: Sequence[str], *, environ: Mapping[str, str] | None = None, seconds: float = 60.0, stop_seconds: float = 15.0
    ) -> None:
        """Remember the command; start nothing. `seconds` is how long it may take to get ready."""
        self.base_url = ""
        self._argv = list(argv)
        self._environ = dict(environ or {})
        self._seconds = seconds
        self._stop_seconds = stop_seconds

    def __enter__(self) -> Self:
        """Start the process and wait until it is ready. Raises ServerDied."""
        self._folder = tempfile.TemporaryDirectory(prefix="ml-assets-server-", ignore_cleanup_errors=True)
        self._ready_file = Path(self._folder.name) / "ready.json"
        self._stderr: IO[bytes] = (Path(self._folder.name) / "stderr").open("w+b")
        arguments = [*self._argv, "--port", "0", "--ready-file", str(self._ready_file)]
        self.process = subprocess.Popen(arguments, stderr=self._stderr, stdin=subprocess.DEVNULL, env=self._environment())
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the process."""
        self._stop()

    def _wait(self) -> None:
        until = time.monotonic() + self._seconds
        while not (started := self._started()):
            if self.process.poll() is not None:
                raise ServerDied(f"{self._command}: ended with {self.process.returncode}\n{self._stderr_end()}")
            if time.monotonic() > until:
                raise ServerDied(f"{self._command}: not ready after {self._seconds} s\n{self._stderr_end()}")
            time.sleep(0.02)
        self.base_url = started["url"]
        client.ready(self.base_url)

    def _started(self) -> dict[str, Any] | None:
        return json.loads(self._ready_file.read_text()) if self._ready_file.exists() else None

    @property
    def _command(self) -> str:
        return " ".join(self._argv)

    def _stderr_end(self) -> str:
        self._stderr.flush()
        return Path(self._stderr.name).read_bytes()[-SHOWN_BYTES:].decode(errors="replace")

    def _stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._stderr.close()
        self._folder.cleanup()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return kept | self._environ
