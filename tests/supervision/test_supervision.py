"""Parts are kept alive: each comes back alone, none spins, what is wrong is shown, and nothing outlives the end."""

import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ml_assets.services.supervision import supervised, supervisor
from ml_assets.services.supervision.part import Address, PortsTaken, refuse_taken_ports
from ml_assets.services.supervision.part_locks import PartRuns
from tests.support.browser import eventually
from tests.support.command_line import free_port
from tests.support.notices import notice
from tests.support.supervision import Supervision, health, is_over, kill_each, meanwhile, pids

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)"])
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(child.pid))
os.replace(file.name, sys.argv[1])
time.sleep(600)
"""
WORKING = """
import pathlib, signal, subprocess, sys, time
work = subprocess.Popen(["sh", "-c", 'sleep 3; touch "$0"', sys.argv[2]])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(work.wait()))
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""
BROKEN = "import sys; sys.exit('the database is gone')"


@pytest.fixture
def supervision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervision:
    """With little patience, so that tests are short."""
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 1.0)
    monkeypatch.setattr(supervisor, "PROBE_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(supervised, "FIRST_DELAY_SECONDS", 0.1)
    return Supervision(tmp_path)


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
        parts = {part["name"]: part for part in health(supervision.port)["parts"]}
        assert (parts["fine"]["state"], parts["fine"]["restarts"]) == ("works", 0)
        assert parts["broken"]["restarts"] >= 4
        assert not health(supervision.port)["is_well"]
        with pytest.raises(urllib.error.HTTPError) as page:
            urllib.request.urlopen(f"http://127.0.0.1:{supervision.port}/")
        assert "broken               down" in page.value.read().decode()

    with meanwhile(look):
        supervision.run(broken, fine)
    ends = [line for line in supervision.messages if "broken" in line and "ended with code 1" in line]
    assert all(
        line.endswith("its log: " + str(supervision.folder / "logs" / "broken.log") + ": the database is gone") for line in ends
    )
    waits = [float(line.split("starts again in ")[1].split(" s")[0]) for line in ends]
    assert waits[:5] == [0.1, 0.2, 0.4, 0.8, 0.8]


def test_delays_stay_the_longest_however_often_a_part_ends(supervision: Supervision) -> None:
    part = supervision.part("broken", BROKEN)
    supervised_part = supervised.Supervised(part, supervision.folder, os.environ, 0, supervision.messages.append, ends=5000)
    supervised_part._wait("ended")
    assert "(5001 times in a row); it starts again in 60 s" in supervision.messages[0]


def test_a_part_that_cannot_be_started_ends_no_other(supervision: Supervision) -> None:
    gone, fine = replace(supervision.part("gone"), argv=("/nowhere/python",)), supervision.part("fine")

    def look() -> None:
        eventually(lambda: supervision.has_told("gone", "cannot be started: No such file", "2 times in a row"), what="two tries")
        eventually(lambda: supervision.has_told("fine", "works"), what="the other")

    with meanwhile(look):
        supervision.run(gone, fine)


def test_ctrl_c_ends_everything_and_puts_the_handlers_back(supervision: Supervision) -> None:
    before = signal.getsignal(signal.SIGINT)
    parts = [supervision.part(name) for name in ("a", "b")]
    with meanwhile(lambda: eventually(lambda: supervision.has_told("all ready"), what="all parts")):
        supervision.run(*parts)
    assert signal.getsignal(signal.SIGINT) is before
    refuse_taken_ports([(part.name, part.address) for part in parts if part.address])
    assert supervision.messages[-1] == "stopping"


def test_what_ignores_the_request_is_killed_with_its_children(supervision: Supervision, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    stubborn = supervision.part("stubborn", STUBBORN, str(pid))
    with meanwhile(lambda: eventually(pid.is_file, what="the child")):
        supervision.run(stubborn)
    assert not psutil.pid_exists(int(pid.read_text())) or is_over(psutil.Process(int(pid.read_text())))


@pytest.mark.parametrize("signals", [1, 2])
def test_a_part_that_finishes_its_work_is_waited_for_until_a_second_signal(
    supervision: Supervision, tmp_path: Path, signals: int
) -> None:
    begun, done = tmp_path / "begun", tmp_path / "done"
    part = supervision.part("worker", WORKING, str(begun), str(done), finishes=True)

    def work() -> None:
        eventually(begun.exists, what="work under way")
        if signals == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            eventually(lambda: supervision.has_told("a second Ctrl-C"), what="the end asked for")

    with meanwhile(work):
        supervision.run(part)
    assert done.exists() == (signals == 1)


@pytest.mark.long
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
        eventually(lambda: supervision.has_told("starts when a first release serves"), what="what it waits for")
        needed.touch()
        eventually(lambda: pids(supervision.port), what="the part")

    with meanwhile(deliver):
        supervision.run(supervision.part("waiting", needs=needed))


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
    assert not supervision.messages

    def look() -> None:
        eventually(lambda: pids(supervision.port), what="the part")
        with (supervision.folder / "logs" / "a.lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with meanwhile(look):
        supervision.run(part)


def test_what_is_wrong_with_the_machine_is_at_the_health_port(supervision: Supervision) -> None:
    supervision.wrong.append(notice())

    def look() -> None:
        parts = eventually(lambda: (h := health(supervision.port)) and h["parts"][0]["pid"] and h, what="the part")
        assert parts["notices"] == ["[error] trains 2013-02: run 1 broke"]
        assert not parts["is_well"]

    with meanwhile(look):
        supervision.run(supervision.part("a"))


def test_the_same_port_twice_is_refused() -> None:
    address = Address("127.0.0.1", free_port(), "--port")
    with pytest.raises(PortsTaken, match=f"port {address.port} is given twice, to .* and .*; choose another with "):
        refuse_taken_ports([("a", address), ("b", address)])
