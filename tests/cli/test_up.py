"""`ml-assets up` and `dev`: all parts start, work, come back one by one, and end together; nothing is left behind."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from ml_assets.core.notices import Notice
from ml_assets.services.supervision import supervised, supervisor
from ml_assets.services.supervision.part import Address, Part, PortTaken, answers, refuse_taken_ports
from ml_assets.services.supervision.part_locks import PartRuns
from ml_assets.services.supervision.parts import Ports, environment, parts_of
from ml_assets.services.supervision.supervisor import supervise
from ml_assets.services.supervision.systemd import write_units
from ml_assets.services.supervision.watch import Watch
from resources.dagster_instance import prepare_home, workspace_file
from resources.settings import ROOT, settings
from tests.notify.test_channels import notice
from tests.support import command_line
from tests.support.browser import eventually
from tests.support.command_line import Days, free_port
from tests.support.homes.small_home import small_home

SERVER = """
import http.server, os, sys
print("started", os.getpid(), flush=True)
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)"])
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(child.pid))
os.replace(file.name, sys.argv[1])
time.sleep(600)
"""
BROKEN = "import sys; sys.exit('the database is gone')"
KINDS = ("daemon", "webserver", "mlflow", "endpoint:flights")


def health(port: int) -> dict[str, Any]:
    """The report of the health port, whether all is well or not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=20) as response:
            found: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    return found


def pids(port: int) -> dict[str, int]:
    """The process of each part that works; nothing while one doesn't."""
    found = health(port)
    return {part["name"]: part["pid"] for part in found["parts"] if part["pid"]} if found["is_well"] else {}


def is_over(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@dataclass
class Supervision:
    """Parts that are supervised in this process, by a thread of its own, until the test ends."""

    folder: Path
    told: list[str] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    wrong: list[Notice] = field(default_factory=list)

    def part(self, name: str, *argv: str, needs: Path | None = None, outlived: bool = False) -> Part:
        address = Address("127.0.0.1", free_port(), f"--{name}-port")
        command = (sys.executable, "-c", *(argv or (SERVER, str(address.port))))
        return Part(name, command, answers(address.url), address, needs=needs, outlived=outlived)

    def run(self, *parts: Part) -> None:
        """Supervise until a signal comes."""
        health = Address("127.0.0.1", self.port, "--health-port")
        watch = Watch(lambda _: self.wrong, [], self.told.append)
        supervise(parts, health=health, logs=self.folder / "logs", environ=os.environ, tell=self.told.append, watch=watch)

    def has_told(self, *texts: str) -> bool:
        return any(all(text in line for text in texts) for line in self.told)


@pytest.fixture
def supervision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervision:
    """With little patience, so that tests are short."""
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 1.0)
    monkeypatch.setattr(supervisor, "PROBE_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(supervised, "FIRST_DELAY_SECONDS", 0.1)
    return Supervision(tmp_path)


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Act in a thread while the test's own supervises; then end the supervision, and raise what went wrong in the thread."""

    def act_and_end() -> None:
        try:
            act()
        finally:
            if not over.is_set():
                os.kill(os.getpid(), signal.SIGINT)

    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act_and_end)
        try:
            yield
        finally:
            over.set()
        acting.result()


def kill_each(port: int, seconds: float) -> dict[str, int]:
    """Kill one part after the other, and see it come back while the others go on; the processes at the end."""
    before = eventually(lambda: pids(port), what="all parts", seconds=seconds)
    for name in before:
        before = another(port, name, before, seconds)
    return before


def another(port: int, name: str, before: dict[str, int], seconds: float) -> dict[str, int]:
    os.kill(before[name], signal.SIGKILL)
    eventually(lambda: pids(port).get(name, before[name]) != before[name], what=f"another {name}", seconds=seconds)
    after = pids(port)
    assert {n: pid for n, pid in after.items() if n != name} == {n: pid for n, pid in before.items() if n != name}
    return after


def test_a_part_that_is_killed_comes_back_and_the_others_are_undisturbed(supervision: Supervision) -> None:
    parts = [supervision.part(name) for name in ("a", "b", "c")]

    def kill() -> None:
        kill_each(supervision.port, 30)
        assert [part["restarts"] for part in health(supervision.port)["parts"]] == [1, 1, 1]

    with meanwhile(kill):
        supervision.run(*parts)
    assert supervision.has_told("a ", "ended with code -9", "starts again in", str(supervision.folder / "logs" / "a.log"))
    refuse_taken_ports([(part.name, part.address) for part in parts if part.address])


def test_a_part_that_dies_at_once_again_and_again_is_told_with_its_log_and_does_not_spin(
    supervision: Supervision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "LONGEST_DELAY_SECONDS", 0.8)
    broken, fine = supervision.part("broken", BROKEN), supervision.part("fine")

    def look() -> None:
        eventually(lambda: supervision.has_told("broken", "ended with code 1"), what="an end")
        first = time.monotonic()
        eventually(lambda: supervision.has_told("broken", "5 times in a row"), what="five ends")
        assert time.monotonic() - first > 0.1 + 0.2 + 0.4 + 0.8 - 0.3
        found = {part["name"]: part for part in health(supervision.port)["parts"]}
        assert (found["fine"]["state"], found["fine"]["restarts"]) == ("works", 0)
        assert found["broken"]["restarts"] >= 4
        assert not health(supervision.port)["is_well"]
        with pytest.raises(urllib.error.HTTPError) as page:
            urllib.request.urlopen(f"http://127.0.0.1:{supervision.port}/")
        assert "broken               down" in page.value.read().decode()

    with meanwhile(look):
        supervision.run(broken, fine)
    ends = [line for line in supervision.told if "broken" in line and "ended with code 1" in line]
    assert all(
        line.endswith("its log: " + str(supervision.folder / "logs" / "broken.log") + ": the database is gone") for line in ends
    )
    waits = [float(line.split("starts again in ")[1].split(" s")[0]) for line in ends]
    assert waits[:5] == [0.1, 0.2, 0.4, 0.8, 0.8]


def test_ctrl_c_ends_everything_and_puts_the_handlers_back(supervision: Supervision) -> None:
    before = signal.getsignal(signal.SIGINT)
    parts = [supervision.part(name) for name in ("a", "b")]
    with meanwhile(lambda: eventually(lambda: supervision.has_told("all ready"), what="all parts")):
        supervision.run(*parts)
    assert signal.getsignal(signal.SIGINT) is before
    refuse_taken_ports([(part.name, part.address) for part in parts if part.address])
    assert supervision.told[-1] == "stopping"


def test_what_ignores_the_request_is_killed_with_its_children(supervision: Supervision, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    stubborn = supervision.part("stubborn", STUBBORN, str(pid))
    with meanwhile(lambda: eventually(pid.is_file, what="the child")):
        supervision.run(stubborn)
    assert not psutil.pid_exists(int(pid.read_text())) or is_over(psutil.Process(int(pid.read_text())))


@pytest.mark.parametrize("outlived", [True, False])
def test_what_a_part_started_ends_with_it_or_with_the_supervision(
    supervision: Supervision, tmp_path: Path, outlived: bool
) -> None:
    pid = tmp_path / "pid"
    part = supervision.part("stubborn", STUBBORN, str(pid), outlived=outlived)
    children: list[psutil.Process] = []

    def kill() -> None:
        eventually(pid.is_file, what="the child")
        children.append(psutil.Process(int(pid.read_text())))
        children[0].parent().kill()
        eventually(lambda: supervision.has_told("ended with code -9"), what="the end")
        eventually(lambda: int(pid.read_text()) != children[0].pid, what="another")
        assert is_over(children[0]) is not outlived

    with meanwhile(kill):
        supervision.run(part)
    assert is_over(children[0])


def test_a_part_waits_for_what_it_needs(supervision: Supervision, tmp_path: Path) -> None:
    needed = tmp_path / "pointer.json"

    def deliver() -> None:
        eventually(lambda: health(supervision.port)["is_well"], what="waiting is well")
        needed.touch()
        eventually(lambda: pids(supervision.port), what="the part")

    with meanwhile(deliver):
        supervision.run(supervision.part("waiting", needs=needed))
    assert supervision.has_told("starts when a first release serves")


def test_a_part_that_stops_answering_is_silent_until_it_answers_again(
    supervision: Supervision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_assets.services.supervision.part.PROBE_SECONDS", 0.2)

    def stop() -> None:
        [pid] = eventually(lambda: pids(supervision.port), what="the part").values()
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda: health(supervision.port)["parts"][0]["state"] == "silent", what="silence")
        os.kill(pid, signal.SIGCONT)
        eventually(lambda: health(supervision.port)["parts"][0]["state"] == "works", what="an answer")

    with meanwhile(stop):
        supervision.run(supervision.part("a"))
    assert supervision.has_told("does not answer any more")
    assert supervision.has_told("works again")


def test_a_part_that_an_earlier_one_left_running_is_not_started_twice(supervision: Supervision) -> None:
    part = supervision.part("a")
    (supervision.folder / "logs").mkdir()
    with (supervision.folder / "logs" / "a.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[lock.fileno()])
        lock.write(str(left.pid))
    try:
        with pytest.raises(PartRuns, match=rf"another `ml-assets up` runs a \(process {left.pid}\) of this home"):
            supervision.run(part)
    finally:
        left.kill()
        left.wait()
    assert not supervision.told

    def look() -> None:
        eventually(lambda: pids(supervision.port), what="the part")
        with (supervision.folder / "logs" / "a.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with meanwhile(look):
        supervision.run(part)


def test_what_is_wrong_with_the_machine_is_at_the_health_port(supervision: Supervision) -> None:
    supervision.wrong.append(notice())

    def look() -> None:
        found = eventually(lambda: (h := health(supervision.port)) and h["parts"][0]["pid"] and h, what="the part")
        assert found["notices"] == ["[error] trains 2013-02: run 1 broke"]
        assert not found["is_well"]

    with meanwhile(look):
        supervision.run(supervision.part("a"))


def test_the_same_port_twice_is_refused() -> None:
    address = Address("127.0.0.1", free_port(), "--port")
    with pytest.raises(PortTaken, match=f"port {address.port} is asked for twice"):
        refuse_taken_ports([("a", address), ("b", address)])


def test_installed_code_loads_what_a_checkout_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")  # put back at the end
    current = settings({"ML_ASSETS_HOME": str(tmp_path)})
    prepare_home(current)
    assert yaml.safe_load(workspace_file(current).read_text()) == yaml.safe_load((ROOT / "workspace.yaml").read_text())


@pytest.mark.parametrize("command", ["dev", "up"])
def test_a_taken_port_is_named_with_the_option_to_choose_another_before_anything_starts(tmp_path: Path, command: str) -> None:
    days = command_line.made(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = str(days.invoke(command, "--dagster-port", str(port), "--health-port", str(port)).exception)
    assert f"port {port} on 127.0.0.1 for webserver: Address already in use; choose another with --dagster-port" in refused
    assert f"port {port} on 127.0.0.1 for health" in refused
    assert not (days.home / "logs").exists()


def test_a_part_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    refused = str(command_line.made(tmp_path).invoke("up", "--only", "daemon,endpoints").exception)
    assert "there is no part endpoints; there are: daemon, endpoint, endpoint:flights, mlflow, webserver" in refused


def test_units_are_written_for_the_parts_that_are_asked_for(tmp_path: Path) -> None:
    done = command_line.made(tmp_path).invoke("up", "--systemd", str(tmp_path / "units"), "--only", "endpoint")
    assert done.output.splitlines() == [f"{tmp_path}/units/ml-assets{name}" for name in (".target", "-endpoint-flights.service")]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_units_are_those_that_systemd_takes_and_have_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, days = tmp_path / "units", command_line.made(tmp_path / "a b 100%")
    (tmp_path / "token").write_text("canary-token")
    monkeypatch.setenv("ML_ASSETS_DAGSTER_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("ML_ASSETS_KEY", "canary-key")
    monkeypatch.setenv("SLACK_HOOK", "canary-hook")
    urls = {"LEDGER": "postgresql://ann:canary-ledger@db/x", "MLFLOW": "postgresql://ann:canary-mlflow@db/y"}
    current = settings({**os.environ, **days.environ, **{f"ML_ASSETS_{name}": url for name, url in urls.items()}})
    current.logs.mkdir(parents=True)
    parts = parts_of(current, [days.flights], Ports())
    files = write_units(folder, current, parts, environment(current, "http://127.0.0.1:5000"))
    assert [file.name for file in files] == [
        "ml-assets.target",
        *(f"ml-assets-{kind.replace(':', '-')}.service" for kind in KINDS),
    ]
    texts = {file.name: file.read_text() for file in files}
    assert "canary" not in "".join(texts.values())
    for name in ("KEY", "LEDGER", "MLFLOW"):
        assert f"may hold a secret, so it is for the file below: ML_ASSETS_{name}\n" in texts["ml-assets-daemon.service"]
    assert "file below: MLFLOW_BACKEND_STORE_URI\n" in texts["ml-assets-mlflow.service"]
    assert f'Environment="ML_ASSETS_DAGSTER_TOKEN_FILE={tmp_path}/token"' in texts["ml-assets-daemon.service"]
    assert all("Restart=on-failure" in text for name, text in texts.items() if name.endswith(".service"))
    verified = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert not [line for line in verified.stderr.splitlines() if "ml-assets" in line], verified.stderr


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return small_home(tmp_path_factory, tmp_path_factory.mktemp("days"))


@contextmanager
def started(days: Days, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a user starts it, with a habit of this shell that must not reach its children."""
    environ: Mapping[str, str] = {**days.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(Path(sys.prefix, "bin", "ml-assets")), *options]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=file)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


@pytest.mark.long
def test_each_part_of_a_home_comes_back_alone_and_sigterm_leaves_no_process(days: Days, tmp_path: Path) -> None:
    log, dagster, mlflow, port = tmp_path / "up.log", free_port(), free_port(), free_port()
    ports = ("--dagster-port", str(dagster), "--mlflow-port", str(mlflow), "--health-port", str(port))
    with started(days, log, "up", *ports) as process:
        eventually(lambda: "all ready" in log.read_text(), what=f"all parts ({log})", seconds=240)
        endpoint = f"http://127.0.0.1:{days.flights.endpoint.port}"
        for url in (f"http://127.0.0.1:{dagster}/server_info", f"http://127.0.0.1:{mlflow}/health", endpoint + "/version"):
            assert url.rpartition("/")[0] in log.read_text()
            assert urllib.request.urlopen(url, timeout=20).status == 200
        assert set(kill_each(port, 240)) == set(KINDS)
        left = psutil.Process(process.pid).children(recursive=True)
        assert not [child for child in left if "PYTHONDONTWRITEBYTECODE" in child.environ()]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
        assert all(map(is_over, left))
