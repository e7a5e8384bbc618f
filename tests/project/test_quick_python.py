"""What tests start as Python is a process like any other, whichever process it was forked from."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

SECONDS = 120


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module", autouse=True)
def origin() -> psutil.Process:
    """The process that commands are forked from, when it is ready: until then they are started as usual."""
    address = Path(sys.executable).with_name("socket")
    subprocess.run([sys.executable, "-m", "ml_assets", "--version"], check=True, capture_output=True)
    eventually(address.exists)
    started = ((process, process.info) for process in psutil.process_iter(["cmdline", "ppid"]))
    return next(process for process, info in started if str(address) in (info["cmdline"] or ()) and info["ppid"] == 1)


def test_a_command_has_its_own_arguments_environment_folder_output_and_exit_code(tmp_path: Path) -> None:
    def ended(*arguments: str) -> tuple[int, str, str]:
        environ = {**os.environ, "ML_ASSETS_HOME": "home"}
        done = subprocess.run(
            [sys.executable, "-m", "ml_assets", *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    code, output, error = ended("status", "flights", "--json")
    assert (code, json.loads(output)["partitions"], error) == (0, [], "")
    assert (tmp_path / "home").is_dir()
    code, output, error = ended("status", "trains")
    assert (code, output) == (1, "")
    assert "there is no product 'trains'" in error
    assert ended("no-such-command")[0] == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_reaches_the_command(origin: psutil.Process, tmp_path: Path, number: signal.Signals) -> None:
    environ = {**os.environ, "ML_ASSETS_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "ml_assets", "serve", "flights", "--port", "0"]
    with subprocess.Popen(command, env=environ, stderr=-3, cwd=tmp_path) as server:
        eventually(lambda: bool(_at_work_in(origin, tmp_path)))
        (forked,) = _at_work_in(origin, tmp_path)
        server.send_signal(number)
        assert server.wait(SECONDS) in (0, -number)
    eventually(lambda: not forked.is_running() or forked.status() == psutil.STATUS_ZOMBIE)


def _at_work_in(origin: psutil.Process, folder: Path) -> list[psutil.Process]:
    """What was forked for this folder; another worker's commands are children of the same process."""
    children = []
    for process in origin.children():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if Path(process.cwd()) == folder:
                children.append(process)
    return children


def test_other_arguments_are_for_the_interpreter_itself() -> None:
    command = [sys.executable, "-c", "import sys; print(sys.executable)"]
    assert Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()) != Path(sys.executable)
