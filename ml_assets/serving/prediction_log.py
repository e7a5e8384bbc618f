"""Every prediction as one JSON line, written beside the requests: answering never waits for the disk.

Each server process appends to files of its own, one a day, whole lines in one write. What does not fit the memory for
waiting lines, or the disk, is counted in `lost`. Reading them is prediction_records.
"""

import datetime as dt
import os
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ml_assets.serving.prediction_id import prediction_id

MOST_WAITING_BYTES = 64 * 1024 * 1024
PAUSE_SECONDS = 0.05
STOP_SECONDS = 5.0


class Record(msgspec.Struct, frozen=True, gc=False):
    """One prediction."""

    id: str
    at: dt.datetime
    release: str
    environment: str
    request: msgspec.Struct
    score: float
    decision: bool | None


class _Lines(msgspec.Struct, frozen=True, gc=False):
    """The records of one answer, encoded."""

    day: str
    count: int
    content: bytes


class PredictionLog:
    """Takes records without waiting and appends them to `folder`."""

    def __init__(self, folder: Path, *, most_waiting_bytes: int = MOST_WAITING_BYTES, stop_seconds: float = STOP_SECONDS) -> None:
        self.folder = folder
        self.written = 0
        self._most_waiting_bytes = most_waiting_bytes
        self._stop_seconds = stop_seconds
        self._waiting: queue.SimpleQueue[_Lines | None] = queue.SimpleQueue()
        # Each counter is changed by one thread only: what was refused and taken by the caller's, the others by the writer's.
        self._refused = self._taken_bytes = self._done_bytes = self._unwritten = self._taken = 0
        self._process = prediction_id()[:18]
        self._encode = msgspec.json.Encoder().encode_lines
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Records that are not in the log and will not be."""
        return self._refused + self._unwritten

    def add(self, records: Sequence[Record]) -> None:
        """Queue the records of one answer; when the queue is full they are lost, and counted."""
        if not records:
            return
        content = self._encode(records)
        if self._taken_bytes - self._done_bytes + len(content) > self._most_waiting_bytes:
            self._refused += len(records)
            return
        self._taken_bytes += len(content)
        self._taken += len(records)
        self._waiting.put(_Lines(records[0].at.date().isoformat(), len(records), content))

    def close(self) -> None:
        """Write what waits, then stop; a disk that hangs is given up after a while."""
        self._waiting.put(None)
        self._thread.join(self._stop_seconds)
        if self._thread.is_alive():
            self._refused += self._taken - self.written - self._unwritten

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            is_open = batch[-1] is not None
            self._append([lines for lines in batch if lines is not None])
            if is_open:
                self._pause()

    def _pause(self) -> None:
        # Few large writes: while the writer sleeps, the event loop has the interpreter for itself.
        threading.Event().wait(PAUSE_SECONDS)

    def _append(self, batch: Sequence[_Lines]) -> None:
        by_day: dict[str, list[_Lines]] = {}
        for lines in batch:
            by_day.setdefault(lines.day, []).append(lines)
        for day, group in by_day.items():
            content, count = b"".join(lines.content for lines in group), sum(lines.count for lines in group)
            try:
                self._write(self.folder / f"{day}.{self._process}.jsonl", content)
                self.written += count
            except OSError:
                self._unwritten += count
            self._done_bytes += len(content)

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            size = os.fstat(descriptor).st_size
            if os.write(descriptor, content) < len(content):
                os.ftruncate(descriptor, size)
                raise OSError(f"{path}: no room for {len(content)} bytes")
        finally:
            os.close(descriptor)
