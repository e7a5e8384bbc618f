"""A Python whose `-m ml_assets` starts at once: forked from one process per session of tests that has imported the project.

It is an executable file like any Python, and a command a process like any other; the real interpreter takes what is not of this
checkout or no command, and the first commands, until the other is ready. Nothing is computed before a fork: the threads of Polars
and DuckDB would not be there after it.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.less_waiting import create_mlflow_tables, keep_what_libraries_compute, parse_macros, wait_for_no_disk

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("checks", "ml_assets", "resources", "sensors")
LIBRARIES = ("catboost", "dbt.adapters.duckdb", "dbt.cli.main", "matplotlib.backends.backend_svg", "pandas", "sqlglot.lineage")
SCHEMAS = {
    "dbt.contracts.graph.nodes": ("ModelNode", "GenericTestNode"),
    "dbt.contracts.graph.unparsed": ("UnparsedSourceDefinition", "UnparsedModelUpdate"),
    "dbt.contracts.project": ("Configuration", "Project", "ProjectFlags"),
}
"""Each process of dbt spends seconds on the JSON schemas of these classes."""
CLIENT = """\
#!{python} -ISs
import os, sys
def be_the_real_one():
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
own = sys.argv[2:] if sys.argv[1:2] == ["-P"] else sys.argv[1:]
if own[:2] != ["-m", "ml_assets"] or os.environ.get("PYTHONPATH", {root!r}) != {root!r}:
    be_the_real_one()
import json, signal, socket, subprocess
server = socket.socket(socket.AF_UNIX)
try:
    server.connect({address!r})
except OSError:
    try:
        log = open({address!r} + ".log", "x")
        command = [{python!r}, "-m", {module!r}, {address!r}, {session!r}]
        environ = os.environ | {{"PYTHONPATH": {root!r}}}
        subprocess.Popen(command, cwd={root!r}, env=environ, stdin=-3, stdout=log, stderr=log, start_new_session=True)
    except FileExistsError:
        pass
    be_the_real_one()
passed_on = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)
for number in passed_on:
    signal.signal(number, lambda number, _: server.send(bytes([number])))
request = json.dumps([own[2:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
server.sendall(request)
signal.pthread_sigmask(signal.SIG_UNBLOCK, passed_on)
code = int.from_bytes(server.recv(2), "big", signed=True)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def quick_python(folder: Path, *, session: int) -> Path:
    """The executable, in a folder of its own; what it starts ends with the process `session`."""
    script = CLIENT.format(
        python=sys.executable, root=str(ROOT), address=str(folder / "socket"), module=__name__, session=str(session)
    )
    (folder / "python").write_text(script)
    (folder / "python").chmod(0o755)
    return folder / "python"


class Forks:
    """Takes requests on a socket and forks a process for each: arguments, environment, folder, and three open files."""

    def __init__(self, address: str, session: int) -> None:
        self._session = session
        self._processes: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(64)
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for source in (self._listener, self._woken):
            self._selector.register(source, selectors.EVENT_READ)

    def next_command(self) -> list[str] | None:
        """In a fork: the arguments that it was started with. Here: None, when the session of tests has ended."""
        while Path(f"/proc/{self._session}").exists():
            for key, _ in self._selector.select(timeout=1):
                source: Any = key.fileobj
                if source is self._listener:
                    if (command := self._forked(self._listener.accept()[0])) is not None:
                        return command
                elif source is self._woken:
                    self._woken.recv(100)
                    self._report_ended()
                elif source in self._processes.values():  # its process may have ended a moment ago
                    self._pass_on(source)
        for pid in self._processes:
            os.kill(pid, signal.SIGKILL)
        return None

    def _forked(self, client: socket.socket) -> list[str] | None:
        head, files, _, _ = socket.recv_fds(client, 4, 3)
        size, request = int.from_bytes(head, "big"), b""
        while len(request) < size and (part := client.recv(size - len(request))):
            request += part
        if pid := os.fork():
            for file in files:
                os.close(file)
            self._processes[pid] = client
            self._selector.register(client, selectors.EVENT_READ)
            return None
        client.close()
        return self._become(files, *json.loads(request))

    def _become(self, files: list[int], argv: list[str], environ: dict[str, str], folder: str) -> list[str]:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for source in (self._listener, self._woken, self._wake, *self._processes.values()):
            source.close()
        self._selector.close()
        for place, file in enumerate(files):
            os.dup2(file, place)
            os.close(file)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", 1), open(2, "w", 1)  # noqa: SIM115
        return argv

    def _report_ended(self) -> None:
        while self._processes:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            client = self._processes.pop(pid)
            self._selector.unregister(client)
            with client, suppress(BrokenPipeError):  # a client that was killed waits for no answer
                client.send(os.waitstatus_to_exitcode(status).to_bytes(2, "big", signed=True))

    def _pass_on(self, client: socket.socket) -> None:
        """The signals that the client got; where the client was killed, this one."""
        pid = next(pid for pid, source in self._processes.items() if source is client)
        for number in client.recv(10) or bytes([signal.SIGKILL]):
            os.kill(pid, number)


def _import_all() -> None:
    for package in PACKAGES:
        for source in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if "__main__" not in source.name and ".products" not in source.name:
                importlib.import_module(source.name)
    for name in LIBRARIES:
        importlib.import_module(name)
    for module, classes in SCHEMAS.items():
        for name in classes:
            getattr(importlib.import_module(module), name).json_schema()
    wait_for_no_disk()
    keep_what_libraries_compute()
    parse_macros()
    create_mlflow_tables()
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # else DuckDB calls what is left at the end of a command that breaks a leak


def main(address: str, session: str) -> None:
    _import_all()
    if (command := Forks(address, int(session)).next_command()) is None:
        os._exit(0)
    sys.argv = ["ml_assets", *command]
    sys.executable = str(Path(address).with_name("python"))
    runpy.run_module("ml_assets", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
