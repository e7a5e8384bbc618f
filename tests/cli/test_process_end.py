"""A command's process ends at once, and nothing that was to be done at its end is left undone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resources.ledger.database import open_database

SCRIPT = """
import atexit, sys, tempfile, threading, time
from pathlib import Path
from sqlalchemy import text
from ml_assets.cli.shared.process_end import leave
from resources.ledger.database import open_database

folder = Path(sys.argv[1])
tempfile.tempdir = str(folder)
atexit.register(lambda: (folder / "handler").touch())
scratch = tempfile.TemporaryDirectory(prefix="scratch")
engine = open_database(f"sqlite:///{folder / 'ledger.db'}")
with engine.begin() as connection:
    connection.execute(text("INSERT INTO ledger_facts (name, value) VALUES ('last', 'written')"))
assert (folder / "ledger.db-wal").exists()
threading.Thread(target=lambda: (time.sleep(0.3), (folder / "thread").touch())).start()
sys.stdout.write("no end of line")
leave(3)
"""
READERLESS = """
import sys
from ml_assets.cli.shared.process_end import leave
sys.stdin.read()  # until nobody reads the output any more
sys.stdout.write("to nobody")
leave(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("ended")
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    return folder, subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)


def test_threads_handlers_and_output_are_done_before_the_end(ended: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, process = ended
    assert (process.returncode, process.stdout, process.stderr) == (3, "no end of line", "")
    assert sorted(path.name for path in folder.iterdir()) == ["handler", "ledger.db", "thread"]


def test_the_file_of_the_ledger_is_the_whole_ledger_at_the_end(ended: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = ended
    assert b"written" in (folder / "ledger.db").read_bytes()
    open_database(f"sqlite:///{folder / 'ledger.db'}").dispose()


@pytest.mark.parametrize(("code", "ends_with"), [(0, 120), (3, 3)])
def test_output_that_nobody_reads_is_no_success(code: int, ends_with: int) -> None:
    command = [sys.executable, "-c", READERLESS, str(code)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, env=buffered, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.close()
        process.stdin.close()
        assert process.wait(60) == ends_with


def test_ctrl_c_while_a_thread_is_waited_for_ends_the_process_without_a_traceback() -> None:
    waiting = "threading.Thread(target=lambda: time.sleep(60)).start(); print('waits', flush=True); leave(0)"
    script = f"import threading, time; from ml_assets.cli.shared.process_end import leave; {waiting}"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "waits\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == ""
        assert process.returncode == 130


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["card", "nothing"], 1), (["nonsense"], 2)])
def test_a_command_keeps_its_exit_code(arguments: list[str], code: int, tmp_path: Path) -> None:
    environ = os.environ | {"ML_ASSETS_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "ml_assets", *arguments]
    process = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert process.returncode == code, process.stderr
