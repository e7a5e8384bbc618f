"""An environment with the libraries of a lock file, for code whose lock differs from this process's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ml_assets.core.digests import sha256
from ml_assets.errors import MlAssetsError
from resources.settings import ROOT

READY = ".ready"
SHOWN_LINES = 5


class EnvironmentNotMade(MlAssetsError):
    """The libraries of a lock file could not be installed."""


def environment_of(lock: Path, *, folder: Path) -> Path:
    """The Python of an environment with the libraries of a requirements file or of uv.lock, made below `folder` on first use.
    Raises EnvironmentNotMade."""
    place = folder / sha256(lock.read_bytes())[:16]
    python = place / "bin" / "python"
    if (place / READY).is_file():
        return python
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    for command in _commands(place, python, lock):
        _run(command)
    (place / READY).touch()
    return python


def _commands(place: Path, python: Path, lock: Path) -> list[list[str]]:
    """By uv where there is one, else by the standard library's venv and pip. Hashes are required where the lock has any."""
    bundled = ROOT / ".uv" / "bin" / "uv"
    uv = shutil.which("uv") or (str(bundled) if bundled.is_file() else None)
    if lock.name == "uv.lock":
        if uv is None:
            raise EnvironmentNotMade("base's libraries are locked by uv.lock, and uv is not installed: `pip install uv`")
        exported = place.with_suffix(".txt")
        export = [uv, "export", "--quiet", "--frozen", "--no-emit-project", "--project", str(lock.parent)]
        return [[*export, "--output-file", str(exported)], *_install(uv, place, python, exported, has_hashes=True)]
    return _install(uv, place, python, lock, has_hashes=b"--hash=" in lock.read_bytes())


def _install(uv: str | None, place: Path, python: Path, requirements: Path, *, has_hashes: bool) -> list[list[str]]:
    options = ["--quiet", *(["--require-hashes"] if has_hashes else []), "--requirement", str(requirements)]
    if uv:
        created = [uv, "venv", "--quiet", "--python", sys.executable, str(place)]
        return [created, [uv, "pip", "install", "--python", str(python), *options]]
    return [[sys.executable, "-m", "venv", str(place)], [str(python), "-m", "pip", "install", *options]]


def _run(command: list[str]) -> None:
    # uv trusts the system's certificates, as the Makefile has it do
    environment = {"UV_NATIVE_TLS": "1"} | os.environ
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        message = "; ".join((done.stderr or done.stdout).strip().splitlines()[-SHOWN_LINES:])
        raise EnvironmentNotMade(f"base's libraries cannot be installed ({Path(command[0]).name}): {message}")
