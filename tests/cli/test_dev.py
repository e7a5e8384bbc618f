"""`ml-assets dev`: all parts start, answer, and end together; nothing is left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from ml_assets.cli.shared import process_group as processes
from ml_assets.cli.shared.process_group import PortTaken, Service, ServiceEnded, refuse_taken_ports, run_together
from resources.dagster_instance import prepare_home, workspace_file
from resources.settings import ROOT, settings
from tests.support import command_line
from tests.support.browser import eventually
from tests.support.command_line import Days, free_port
from tests.support.homes.small_home import small_home

SERVER = """
import http.server, sys
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return small_home(tmp_path_factory, tmp_path_factory.mktemp("days"))


@contextmanager
def dev(days: Days, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a user starts it, with a habit of this shell that must not reach its children."""
    environ = {**days.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(Path(sys.prefix, "bin", "ml-assets")), "dev", *options]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=file)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def test_installed_code_loads_what_a_checkout_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")  # put back at the end
    current = settings({"ML_ASSETS_HOME": str(tmp_path)})
    prepare_home(current)
    assert yaml.safe_load(workspace_file(current).read_text()) == yaml.safe_load((ROOT / "workspace.yaml").read_text())


@pytest.mark.long
def test_all_parts_answer_and_sigterm_leaves_no_process(days: Days, tmp_path: Path) -> None:
    log, dagster, mlflow = tmp_path / "dev.log", free_port(), free_port()
    with dev(days, log, "--dagster-port", str(dagster), "--mlflow-port", str(mlflow)) as process:
        eventually(lambda: "all ready" in log.read_text(), what=f"all parts ({log})", seconds=180)
        for url in (f"http://127.0.0.1:{dagster}/server_info", f"http://127.0.0.1:{mlflow}/health", endpoint(days) + "/version"):
            assert url.rpartition("/")[0] in log.read_text()
            assert urllib.request.urlopen(url, timeout=20).status == 200
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) >= 5
        assert not [child for child in started if "PYTHONDONTWRITEBYTECODE" in child.environ()]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
        assert not [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def endpoint(days: Days) -> str:
    return f"http://127.0.0.1:{days.flights.endpoint.port}"


def test_a_taken_port_is_named_with_the_option_to_choose_another(tmp_path: Path) -> None:
    days = command_line.made(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = days.ml_assets("dev", "--dagster-port", str(port), "--mlflow-port", str(free_port()))
    assert refused.returncode == 1
    assert f"port {port} on 127.0.0.1 for dagster" in refused.stderr
    assert "--dagster-port" in refused.stderr


def test_the_same_port_twice_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(PortTaken, match=f"port {port} is asked for twice"):
        refuse_taken_ports([service(tmp_path, "a", port), service(tmp_path, "b", port)])


def service(folder: Path, name: str, port: int, needs: Path | None = None) -> Service:
    argv = (sys.executable, "-c", SERVER, str(port))
    return Service(name, argv, "127.0.0.1", port, ready="/", option=f"--{name}-port", needs=needs)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the lines go that are told; with short patience with those who do not end."""
    monkeypatch.setattr(processes, "STOP_SECONDS", 1.0)
    return []


def signal_when(told: list[str], line: str) -> threading.Thread:
    """Send SIGINT to this process as soon as the line is told."""

    def wait() -> None:
        eventually(lambda: any(line in each for each in told), what=line)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_ctrl_c_ends_everything_and_puts_the_handlers_back(tmp_path: Path, told: list[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    services = [service(tmp_path, name, free_port()) for name in ("a", "b")]
    signal_when(told, "all ready")
    run_together(services, logs=tmp_path / "logs", environ=os.environ, tell=told.append)
    assert signal.getsignal(signal.SIGINT) is before
    refuse_taken_ports(services)
    assert told[-1] == "stopping"


def test_what_ignores_the_request_is_killed_with_its_children(tmp_path: Path, told: list[str]) -> None:
    pid = tmp_path / "pid"
    stubborn = Service("stubborn", (sys.executable, "-c", STUBBORN, str(pid)), "127.0.0.1", free_port(), "/", "--port")
    other = service(tmp_path, "other", free_port(), needs=pid)
    signal_when(told, "other                http")
    run_together([stubborn, other], logs=tmp_path, environ=os.environ, tell=told.append)
    assert pid.read_text().isdigit()
    assert not psutil.pid_exists(int(pid.read_text())) or psutil.Process(int(pid.read_text())).status() == psutil.STATUS_ZOMBIE


def test_the_end_of_one_ends_all_and_names_it(tmp_path: Path, told: list[str]) -> None:
    short = Service("short", (sys.executable, "-c", "raise SystemExit(3)"), "127.0.0.1", free_port(), "/", "--port")
    lasting = service(tmp_path, "lasting", free_port())
    with pytest.raises(ServiceEnded, match=r"short ended with code 3; its log: .*short\.log"):
        run_together([lasting, short], logs=tmp_path, environ=os.environ, tell=told.append)
    refuse_taken_ports([lasting])


def test_a_service_waits_for_what_it_needs(tmp_path: Path, told: list[str]) -> None:
    needed = tmp_path / "pointer.json"
    waiting = service(tmp_path, "waiting", free_port(), needs=needed)
    threading.Timer(1, needed.touch).start()
    signal_when(told, "all ready")
    run_together([waiting], logs=tmp_path, environ=os.environ, tell=told.append)
    assert any("starts when a first release serves" in line for line in told)
