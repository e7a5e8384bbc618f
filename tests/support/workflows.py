"""A GitHub runner for the workflows' commands: their steps, and its environment."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}


def steps(workflow: str) -> list[dict[str, Any]]:
    return [step for job in WORKFLOWS[workflow]["jobs"].values() for step in job["steps"]]


def run_lines(workflow: str) -> list[dict[str, Any]]:
    """The steps with a command, in order."""
    return [step for step in steps(workflow) if "run" in step]


def runner_environ(folder: Path, **more: str) -> dict[str, str]:
    """What a GitHub runner gives a step, and a `cml` that sends nothing."""
    (folder / "sent").mkdir(exist_ok=True)
    bare = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    return {
        **bare,
        "PATH": os.pathsep.join([str(ROOT / "tests" / "doubles"), str(Path(sys.prefix, "bin")), os.environ["PATH"]]),
        "HOME": str(folder),
        "CML_DOUBLE": str(folder / "sent"),
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_OUTPUT": str(folder / "output.txt"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "RUNNER_TEMP": str(folder),
        **more,
    }


def execute(
    step: dict[str, Any], cwd: Path, environ: dict[str, str], values: dict[str, str] | None = None, *, errors: bool = False
) -> str:
    """A step's command as GitHub runs it under `shell: bash`, with its env, whose expressions are looked up in `values`. What it
    printed; with `errors` also on stderr."""
    own = {
        name: (values or {}).get(str(value), "") if "${{" in str(value) else str(value)
        for name, value in step.get("env", {}).items()
    }
    command = ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, cwd=cwd, env=environ | own, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{step['run']}\n{done.stdout[:1500]}\n{done.stderr[-3000:]}"
    return done.stdout + (done.stderr if errors else "")
