"""Processes that live and die together. Each has its own process group, so that none of its children outlives it."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from ml_assets.errors import MlAssetsError

STOP_SECONDS = 15
"""How long a process may take to end when asked to."""
KILL_SECONDS = 2
"""How long the system may take to bury what was killed."""
TICK_SECONDS = 0.2
Tell = Callable[[str], None]


class PortTaken(MlAssetsError):
    """Another process listens where a service wants to."""


class ServiceEnded(MlAssetsError):
    """A service ended by itself."""


@dataclass(frozen=True)
class Service:
    """One process. `ready` is the path that answers 200 once it takes requests, `option` says where its port is set,
    `needs` is a file without which it is not started yet."""

    name: str
    argv: tuple[str, ...]
    host: str
    port: int
    ready: str
    option: str
    needs: Path | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> str:
        return f"{self.name.replace(' ', '-')}.log"

    @property
    def may_start(self) -> bool:
        return self.needs is None or self.needs.is_file()

    def answers(self) -> bool:
        """Whether it takes requests."""
        try:
            with urllib.request.urlopen(self.url + self.ready, timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def refuse_taken_ports(services: Sequence[Service]) -> None:
    """Raise PortTaken that names every port which cannot be listened on."""
    taken = [problem for service in services if (problem := _port_problem(service))]
    ports = [service.port for service in services]
    taken += [f"port {port} is asked for twice" for port in sorted({p for p in ports if ports.count(p) > 1})]
    if taken:
        raise PortTaken("; ".join(taken))


def _port_problem(service: Service) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((service.host, service.port))
        except OSError as error:
            reason = error.strerror or str(error)
            return f"port {service.port} on {service.host} for {service.name}: {reason}; choose another with {service.option}"
    return None


def run_together(services: Sequence[Service], *, logs: Path, environ: Mapping[str, str], tell: Tell = click.echo) -> None:
    """Start the services and wait for Ctrl-C, SIGTERM or SIGHUP; raises ServiceEnded when one ends by itself.

    Either way nothing that was started is left."""
    logs.mkdir(parents=True, exist_ok=True)
    together = _Together(services, logs, environ, tell)
    before = {signum: signal.signal(signum, together.end) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        together.wait()
    finally:
        together.stop()
        for signum, handler in before.items():
            signal.signal(signum, handler)


@dataclass
class _Together:
    services: Sequence[Service]
    logs: Path
    environ: Mapping[str, str]
    tell: Tell
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    is_ending: bool = False

    def end(self, signum: int, frame: object) -> None:
        """Handles a signal. It only notes: an exception in the middle of a start would lose the process."""
        self.is_ending = True

    def wait(self) -> None:
        """Start what may start, tell when all of it answers, and raise when one ends."""
        for service in (s for s in self.services if not s.may_start):
            self.tell(f"{service.name:<20} starts when a first release serves: `make demo` makes one")
        self.tell(f"logs                 {self.logs}")
        while not self.is_ending:
            for service in self.services:
                if service.name not in self.running and service.may_start:
                    self._start(service)
                self._look_after(service)
            time.sleep(TICK_SECONDS)
        self.tell("stopping")

    def _start(self, service: Service) -> None:
        with (self.logs / service.log).open("ab") as log:
            self.running[service.name] = subprocess.Popen(
                service.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environ,
                cwd=self.logs,
                start_new_session=True,
            )
        self.tell(f"{service.name:<20} {service.url} is starting")

    def _look_after(self, service: Service) -> None:
        process = self.running.get(service.name)
        if process is None:
            return
        if process.poll() is not None:
            raise ServiceEnded(f"{service.name} ended with code {process.returncode}; its log: {self.logs / service.log}")
        if service.name not in self.ready and service.answers():
            self.ready.add(service.name)
            self.tell(f"{service.name:<20} {service.url} answers after {time.monotonic() - self.started:.0f} s")
            if self.ready == set(self.running):
                self.tell("all ready; Ctrl-C stops all of them")

    def stop(self) -> None:
        """Ask every group to end, then make sure that it did."""
        for process in self.running.values():
            _signal(process, signal.SIGINT)
        self._wait_for_the_end(STOP_SECONDS)
        for process in self.running.values():
            _signal(process, signal.SIGKILL)
            process.wait()
        self._wait_for_the_end(KILL_SECONDS)

    def _wait_for_the_end(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(map(_group_lives, self.running.values())):
            time.sleep(TICK_SECONDS)


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # a leader that ended is in its group until it is waited for
    return _signal(process, 0)


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to the process's group; False when no process is left in it."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True
