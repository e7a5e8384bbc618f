"""An environment with exactly the libraries of a lock file, for code whose lock differs from this process's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ml_assets.errors import MlAssetsError
from resources.settings import ROOT

READY = ".ready"
SHOWN_LINES = 5


class EnvironmentNotMade(MlAssetsError):
    """The libraries of a lock file could not be installed."""


def environment_of(lock: bytes, *, digest: str, folder: Path) -> Path:
    """The Python of an environment with the libraries of `lock`, made below `folder` on first use. Raises EnvironmentNotMade."""
    place = folder / digest[:16]
    python = place / "bin" / "python"
    if (place / READY).is_file():
        return python
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    file = place.with_suffix(".lock")
    file.write_bytes(lock)
    for command in _commands(place, python, file):
        _run(command)
    (place / READY).touch()
    return python


def _commands(place: Path, python: Path, lock: Path) -> list[list[str]]:
    """By uv where there is one, else by the standard library's venv and pip."""
    beside = ROOT / ".uv" / "bin" / "uv"
    uv = shutil.which("uv") or (str(beside) if beside.is_file() else None)
    if uv:
        return [
            [uv, "venv", "--quiet", "--python", sys.executable, str(place)],
            [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(lock)],
        ]
    return [
        [sys.executable, "-m", "venv", str(place)],
        [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(lock)],
    ]


def _run(command: list[str]) -> None:
    # uv trusts the system's certificates, as the Makefile has it do
    environment = {"UV_NATIVE_TLS": "1"} | os.environ
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        told = "; ".join((done.stderr or done.stdout).strip().splitlines()[-SHOWN_LINES:])
        raise EnvironmentNotMade(f"base's libraries cannot be installed ({Path(command[0]).name}): {told}")
