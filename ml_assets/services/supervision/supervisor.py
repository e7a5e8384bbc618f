"""Parts that are kept alive until somebody ends them: one that ends takes no other down, and nothing outlives the end."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ml_assets.services.supervision import process as processes
from ml_assets.services.supervision.health import health_served, report
from ml_assets.services.supervision.part import Address, Part
from ml_assets.services.supervision.part_locks import locked
from ml_assets.services.supervision.supervised import Supervised, Tell
from ml_assets.services.supervision.watch import Watch

STOP_SECONDS = 15.0
"""How long a part may take to end when asked to."""
PROBE_EVERY_SECONDS = 1.0


def supervise(
    parts: Sequence[Part], *, health: Address, logs: Path, environ: Mapping[str, str], tell: Tell, watch: Watch
) -> None:
    """Start the parts and keep them alive until Ctrl-C, SIGTERM or SIGHUP. Then nothing that was started is left; work that a
    part finishes is waited for, until a second signal. Raises PartRuns before anything starts."""
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        locks = stack.enter_context(locked(parts, logs))
        supervisor = _Supervisor([Supervised(part, logs, environ, locks[part.name], tell) for part in parts], tell)
        stack.enter_context(_signals(supervisor.ending, supervisor.cut_short))
        stack.callback(supervisor.end)
        stack.enter_context(health_served(health, lambda: report(supervisor.parts, watch.current.values())))
        tell(f"{'health':<20} {health.url}\n{'logs':<20} {logs}")
        stack.enter_context(_probing(supervisor))
        stack.enter_context(watch.watching())
        supervisor.run()


@dataclass
class _Supervisor:
    parts: list[Supervised]
    tell: Tell
    ending: threading.Event = field(default_factory=threading.Event)
    cut_short: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Start parts, and those again that ended or hang, until the end is asked for."""
        for part in self.parts:
            if not part.part.may_start:
                self.tell(f"{part.part.name:<20} starts when a first release serves: `make demo` makes one")
        is_announced = False
        while not self.ending.is_set():
            for part in self.parts:
                part.step()
            if not is_announced and {part.state for part in self.parts} <= {"works", "waiting"}:
                is_announced = True
                self.tell("all ready; Ctrl-C stops all of them")
            time.sleep(processes.TICK_SECONDS)
        self.tell("stopping")

    def probe(self) -> None:
        """Ask each part whether it works, on a thread of its own: an answer may take as long as PROBE_SECONDS."""
        while not self.ending.wait(PROBE_EVERY_SECONDS):
            for part in self.parts:
                part.probe()

    def end(self) -> None:
        """End every process of every part, by force after STOP_SECONDS; work that was begun ends by itself before."""
        working = [part.process for part in self.parts if part.part.finishes and part.process is not None]
        if working:
            self.tell("work that was begun is waited for; a second Ctrl-C ends it too")
            processes.finish(working, self.cut_short.is_set)
        groups = [group for part in self.parts for group in [*part.left, part.process] if group is not None]
        processes.end(groups, within=STOP_SECONDS)


@contextmanager
def _signals(ending: threading.Event, cut_short: threading.Event) -> Iterator[None]:
    """Signals only set an event, a second one the other: an exception in the middle of a start would lose the process."""

    def note(*_: object) -> None:
        (cut_short if ending.is_set() else ending).set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def _probing(supervisor: _Supervisor) -> Iterator[None]:
    """A thread of its own: a part that is slow to answer must not delay another's restart."""
    thread = threading.Thread(target=supervisor.probe, daemon=True)
    thread.start()
    try:
        yield
    finally:
        supervisor.ending.set()
        thread.join()
