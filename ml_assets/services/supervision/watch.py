"""Notices about the machine, sent by the process that keeps the parts alive: a daemon that hangs cannot report itself."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec.structs import replace

from ml_assets.core.notices import Notice
from ml_assets.services.supervision.supervised import Tell
from resources.notify.channel import Channel, NotSent

LOOK_EVERY_SECONDS = 60.0


@dataclass
class Watch:
    """`look` gives what is wrong now. `current` are the notices that are not over, by id; `due` what a channel has not had."""

    look: Callable[[datetime], Sequence[Notice]]
    channels: Sequence[Channel]
    tell: Tell
    current: dict[str, Notice] = field(default_factory=dict)
    due: list[tuple[Channel, Notice]] = field(default_factory=list)

    def step(self, now: datetime) -> None:
        """Look, and send what is new and what is over, by digests at once too. What was not sent is tried again at the next
        step."""
        notices = {notice.id: notice for notice in self.look(now)}
        new = [notice for id, notice in notices.items() if id not in self.current]
        at = now.isoformat(timespec="seconds")
        over = [replace(notice, is_over=True, at=at) for id, notice in self.current.items() if id not in notices]
        self.current = {id: self.current.get(id, notice) for id, notice in notices.items()}
        for notice in (*new, *over):
            self.tell(notice.subject + (f"; {notice.why}" if not notice.is_over else ""))
            self.due += [(channel, notice) for channel in self.channels if channel.takes(notice)]
        self.due = [(channel, notice) for channel, notice in self.due if not self._is_sent(channel, notice)]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """A thread that looks again and again."""
        ending = threading.Event()

        def run() -> None:
            while not ending.is_set():
                self.step(datetime.now(UTC))
                ending.wait(LOOK_EVERY_SECONDS)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def _is_sent(self, channel: Channel, notice: Notice) -> bool:
        try:
            channel.send([notice])
        except NotSent as error:
            self.tell(f"not sent: {error}")
            return False
        return True
