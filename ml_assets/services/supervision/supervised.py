"""One part under supervision: started when it may, started again with growing delays after it ended, and how it is."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ml_assets.services.supervision import process as processes
from ml_assets.services.supervision.part import Part
from ml_assets.services.supervision.process import Process

State = Literal["waiting", "starting", "works", "silent", "down"]
"""`waiting` for the file that it needs; `silent`: it runs, and does not say any more that it works; `down`: it ended, and starts
again."""
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 1.0, 60.0
MOST_DOUBLINGS = 20
STEADY_SECONDS = 60.0
"""A part that ran this long is started again as after its first end."""
MOST_MISSES = 5
"""Questions in a row that a part that works may leave unanswered: it may be busy."""
SHOWN_BYTES = 4000
Tell = Callable[[str], None]


@dataclass
class Supervised:
    """`logs` is the folder of its log, `lock` what its process holds open; `ends` counts its ends in a row, each soon after the
    start; `left` are groups of processes that it left when it ended."""

    part: Part
    logs: Path
    environ: Mapping[str, str]
    lock: int
    tell: Tell
    state: State = "waiting"
    process: Process | None = None
    started: float = 0.0
    starts: int = 0
    ends: int = 0
    last_end: str = ""
    due: float = 0.0
    left: list[Process] = field(default_factory=list)
    misses: int = 0
    changing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def log(self) -> Path:
        """The path of the log file."""
        return self.logs / self.part.log

    def step(self) -> None:
        """Start it where it may and should run, and notice its end."""
        with self.changing:
            self.left = [group for group in self.left if processes.is_left(group)]
            if self.process is None:
                if self.part.may_start and time.monotonic() >= self.due:
                    self._start()
            elif self.process.poll() is not None:
                self._note_end(self.process)

    def probe(self) -> None:
        """See whether it works; called by another thread than `step`."""
        if (process := self.process) is None:
            return
        works = self.part.works(self.started)
        with self.changing:
            if process is not self.process:
                return  # another one by now
            self.misses = 0 if works else self.misses + 1
            if works and self.state != "works":
                after = "again" if self.state == "silent" else f"after {time.time() - self.started:.0f} s"
                self.state = "works"
                self.tell(f"{self.part.name:<20} {self.part.place} works {after}")
            elif self.state == "works" and self.misses >= MOST_MISSES:
                self.state = "silent"
                self.tell(f"{self.part.name:<20} {self.part.place} does not answer any more; its log: {self.log}")

    def status(self) -> dict[str, Any]:
        """The state, as JSON values."""
        since = datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds") if self.process else None
        return {
            "name": self.part.name,
            "state": self.state,
            "url": self.part.address.url if self.part.address else None,
            "pid": self.process.pid if self.process else None,
            "since": since,
            "restarts": max(0, self.starts - 1),
            "last_end": self.last_end or None,
            "log": str(self.log),
        }

    def _start(self) -> None:
        environ = {**self.environ, **self.part.environ}
        self.started, self.starts = time.time(), self.starts + 1
        try:
            self.process = processes.start(self.part.argv, log=self.log, environ=environ, lock=self.lock)
        except OSError as error:  # such as a full disk: no reason to end the others
            self._wait(f"cannot be started: {error.strerror}")
            return
        self.state = "starting"
        self.tell(f"{self.part.name:<20} {self.part.place} is starting")

    def _note_end(self, process: Process) -> None:
        lived = time.time() - self.started
        if self.part.outlived:
            self.left.append(process)
        else:
            processes.end([process], within=0)
        self.ends = 0 if lived >= STEADY_SECONDS else self.ends
        self._wait(f"ended with code {process.returncode} after {lived:.0f} s")

    def _wait(self, reason: str) -> None:
        """Be down until the next start."""
        self.ends += 1
        delay = min(FIRST_DELAY_SECONDS * 2 ** min(self.ends - 1, MOST_DOUBLINGS), LONGEST_DELAY_SECONDS)
        self.last_end = reason + (f" ({self.ends} times in a row)" if self.ends > 1 else "")
        self.process, self.state, self.due = None, "down", time.monotonic() + delay
        self.tell(
            f"{self.part.name:<20} {self.last_end}; it starts again in {delay:g} s; its log: {self.log}{_last_line(self.log)}"
        )


def _last_line(log: Path) -> str:
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - SHOWN_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last}" if last else ""
