"""Notices as lines of a file in the home, and in Python's logging."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml_assets.core.notices import Notice, log_line
from resources.notify.channel import Undelivered

LOGGER = logging.getLogger("ml_assets.notices")
LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@dataclass(frozen=True)
class NoticesLog:
    """`file` is appended to."""

    file: Path

    def send(self, notices: Sequence[Notice]) -> None:
        """Write one line for each notice. Raises Undelivered."""
        lines = [log_line(notice) for notice in notices]
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            raise Undelivered(f"{self.file}: {error.strerror}; make room, or let this user write there") from error
        for notice, line in zip(notices, lines, strict=True):
            LOGGER.log(LEVELS[notice.severity], "%s", line)
