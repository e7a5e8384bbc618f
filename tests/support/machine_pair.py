"""Two machines that serve one product, and what is decided on one of them."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Thread
from typing import Any

from ml_assets.services.verify.home import verify
from resources.ledger import attempts
from tests.support.machines import Machine

SECONDS = 5.0
"""In which every server has to serve what was decided anywhere, on a machine that does nothing else."""


@dataclass
class Pair:
    """Both have a server, which a test starts."""

    a: Machine
    b: Machine

    def both_serve(self, what: str, decide: Callable[[], object], *, seconds: float = 60) -> str:
        """Decide something; both servers serve that within SECONDS of its entry, which comes within `seconds`. The release."""
        before = self.move()
        before_busy = busy()
        seen: dict[str, float] = {}
        is_over = Event()

        def watch() -> None:
            while not is_over.wait(0.05):
                releases = {self.a.release(), self.b.release()}
                if len(releases) == 1:
                    seen.setdefault(*releases, time.time())

        watcher = Thread(target=watch)
        watcher.start()
        try:
            decide()
            until(lambda: (now := self.move()).seq > before.seq and now.body.release in seen, seconds)
        finally:
            is_over.set()
            watcher.join()
        move = self.move()
        assert move.body.release != before.body.release
        took = seen[move.body.release] - datetime.fromisoformat(move.at).timestamp()
        factor = max(before_busy, busy())
        sys.stderr.write(f"{took:6.1f} s  {what}, on a machine that takes {factor:.0f} times as long\n")
        assert took < SECONDS * factor
        return str(move.body.release)

    def serve_what_is_recorded(self) -> str:
        """Both serve the release that the ledger names, at the latest in SECONDS. The release."""
        release = str(self.move().body.release)
        until(lambda: {self.a.release(), self.b.release()} == {release}, SECONDS * busy())
        return release

    def are_clean(self) -> bool:
        """Whether `verify` finds nothing on either machine."""
        found = [one for machine in (self.a, self.b) for one in verify(machine.space.settings).discrepancies if not one.is_note]
        assert found == []
        return True

    def move(self) -> Any:
        """The last move of production, by the ledger."""
        space = self.a.space
        try:
            return space.ledger.moves("flights", "production")[-1]
        finally:
            space.ledger.close()

    def made(self, stage: str, day: str) -> bool:
        """Whether there is a current snapshot of a stage."""
        space = self.a.space
        try:
            return space.ledger.current("flights", stage, day) is not None
        finally:
            space.ledger.close()

    def end(self, day: str) -> str:
        """How the newest attempt at a day ended; empty while it goes on, or while there is none."""
        space = self.a.space
        try:
            attempt = attempts.newest(space.ledger, "flights", [day]).get(day)
            return str(attempt.record.end or "") if attempt else ""
        finally:
            space.ledger.close()

    def deliver(self, content: dict[str, bytes], day: str) -> None:
        """Put a day's tables where deliveries go."""
        from ml_assets.spec.product import load

        space = self.b.space
        for table, rows in content.items():
            space.landing.put(load(space.settings.products[0] / "flights"), table, day, rows)


def until(holds: Callable[[], object], seconds: float, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)


def busy() -> float:
    """How many times as long as alone anything takes on this machine now: others may use its cores too."""
    started, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < 0.1:
        pass
    return max(1.0, (time.monotonic() - started) / 0.1)
