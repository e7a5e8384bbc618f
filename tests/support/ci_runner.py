"""A runner that executed every command of ci.yml but the tests, on a copy of the checkout, once in a session. The job `home` runs
first, and what it keeps is there for the pull request."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command_line import free_port, replace_in
from tests.support.shared import made_once
from tests.support.workflows import ROOT, execute, run_lines, runner_environ

RECURSES = "make test"
LEFT_OUT = (".git", ".venv", ".uv", ".ml_assets", "*_cache", "__pycache__", "*.egg-info", "build")


@dataclass(frozen=True)
class CiRun:
    """The runner's folder, with the checkout and the job's summary; what each command said, in order."""

    folder: Path
    outputs: dict[str, str]

    @property
    def home(self) -> Path:
        return self.folder / "checkout" / ".ml_assets"


def ci_run(factory: pytest.TempPathFactory) -> CiRun:
    """To be looked at only: its paths stand in MLflow's database."""
    folder = made_once(factory.getbasetemp(), "runner", _execute_all)
    return CiRun(folder, json.loads((folder / "said.json").read_text()))


def _execute_all(folder: Path) -> None:
    checkout = _checkout(folder / "checkout")
    environ = runner_environ(folder, PYTHONPATH=str(checkout))
    _as_pull_request(checkout)
    commands = [step for step in run_lines("ci") if step["run"] != RECURSES and "cache-matched-key" not in step.get("if", "")]
    outputs = {step["run"]: execute(step, checkout, environ, {"${{ github.base_ref }}": "main"}) for step in commands}
    (folder / "said.json").write_text(json.dumps(outputs))


def _as_pull_request(checkout: Path) -> None:
    """The checkout as a branch of a repository whose remote has a main branch."""
    author = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    commands = (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "A change"])
    for command in (*commands, ["update-ref", "refs/remotes/origin/main", "HEAD"]):
        subprocess.run(["git", "-C", str(checkout), *command], check=True, capture_output=True)


def _checkout(copy: Path) -> Path:
    """A copy of the checkout whose environment is this one's, so that `make install` has nothing to do."""
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    replace_in(copy / "ml_assets" / "products" / "flights" / "product.yaml", {"port: 8810": f"port: {free_port()}"})
    (copy / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".installed":
            (copy / ".venv" / entry.name).symlink_to(entry)
    (copy / ".uv" / "bin").mkdir(parents=True)
    for path in (copy / ".uv" / "bin" / "uv", copy / ".venv" / ".installed"):
        path.touch()
    return copy
