"""Every prediction as one JSON line, written beside the requests: answering never waits for the disk.

Each server process appends to files of its own, one a day, whole lines in one write. What does not fit the queue
or the disk is counted in `lost`. Reading them is prediction_records.
"""

import datetime as dt
import os
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ml_assets.serving.prediction_id import prediction_id

MOST_WAITING = 10_000
PAUSE_SECONDS = 0.05


class Record(msgspec.Struct, frozen=True, gc=False):
    """One prediction."""

    id: str
    at: dt.datetime
    release: str
    environment: str
    request: msgspec.Struct
    score: float
    decision: bool | None


class PredictionLog:
    """Takes records without waiting and appends them to `folder`."""

    def __init__(self, folder: Path, *, most_waiting: int = MOST_WAITING) -> None:
        self.folder = folder
        self.written = 0
        self.lost = 0
        self._waiting: queue.Queue[Sequence[Record] | None] = queue.Queue(maxsize=most_waiting)
        self._process = prediction_id()[:18]
        self._encoder = msgspec.json.Encoder()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def add(self, records: Sequence[Record]) -> None:
        """Queue the records of one answer; when the queue is full they are lost, and counted."""
        try:
            self._waiting.put_nowait(records)
        except queue.Full:
            self.lost += len(records)

    def close(self) -> None:
        """Write what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch = [self._waiting.get()]
            while len(batch) < self._waiting.maxsize and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            is_open = batch[-1] is not None
            self._append([record for records in batch if records for record in records])
            if is_open:
                self._pause()

    def _pause(self) -> None:
        # Few large writes: while the writer sleeps, the event loop has the interpreter for itself.
        threading.Event().wait(PAUSE_SECONDS)

    def _append(self, records: Sequence[Record]) -> None:
        by_day: dict[str, list[Record]] = {}
        for record in records:
            by_day.setdefault(record.at.date().isoformat(), []).append(record)
        for day, group in by_day.items():
            try:
                self._write(self.folder / f"{day}.{self._process}.jsonl", self._encoder.encode_lines(group))
                self.written += len(group)
            except OSError:
                self.lost += len(group)

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
