"""Every prediction, written beside the requests: answering appends to a queue and waits for nothing.

A thread turns what waits into columns and writes them as one Parquet file once in `flush_seconds`. Nearly all of that is done in
NumPy and Arrow without the interpreter, for which the event loop would wait. What was not flushed when the process is killed is
lost; what does not fit the queue, or the disk, is counted in `lost`. Reading is prediction_records.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from ml_assets.serving.prediction_files import PredictionLogError, folder_of, hour_number, merge, put, recent_hours
from ml_assets.serving.prediction_id import prediction_id
from ml_assets.serving.prediction_record import Predictions, Sent, parquet, table

if TYPE_CHECKING:
    import pyarrow as pa

MOST_WAITING_BYTES = 128 * 1024 * 1024
REQUEST_BYTES, SENT_ROW_BYTES, ROW_BYTES = 700, 60, 800
"""About what the predictions of a request weigh in memory beside its text, and each row of them, the text of which is kept or
which is kept itself."""
FLUSH_SECONDS = 1.0
LOOK_SECONDS = 0.05
STOP_SECONDS = 5.0
SLICE_ROWS, SLICE_REQUESTS = 30_000, 2000
"""About what is in one table. For each a few dozen steps take the interpreter from the event loop, and each request's bodies and
numbers are gone through in one."""


class PredictionLog:
    """Takes predictions without waiting and writes them under `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        flush_seconds: float = FLUSH_SECONDS,
        most_waiting_bytes: int = MOST_WAITING_BYTES,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.folder = folder
        self.written = self.merges_failed = 0
        self._flush_seconds = flush_seconds
        self._most_waiting_bytes = most_waiting_bytes
        self._stop_seconds = stop_seconds
        self._waiting: deque[tuple[Predictions, int]] = deque()
        # Each counter is changed by one thread only: what was refused and taken by the caller's, the others by the writer's.
        self._refused = self._taken_bytes = self._done_bytes = self._unwritten = self._taken = 0
        self._writer = prediction_id()
        self._flushes = 0
        self._hour: Path | None = None
        self._closing = Event()
        self._thread = Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Predictions that are not in the log and will not be."""
        return self._refused + self._unwritten

    def add(self, predictions: Predictions, size: int = 0) -> None:
        """Queue the predictions of a request of `size` bytes; when the queue is full they are lost, and counted."""
        if not len(predictions):
            return
        row_bytes = SENT_ROW_BYTES if isinstance(predictions.requests, Sent) else ROW_BYTES
        weight = size + REQUEST_BYTES + row_bytes * len(predictions)
        if self._taken_bytes - self._done_bytes + weight > self._most_waiting_bytes:
            self._refused += len(predictions)
            return
        self._taken_bytes += weight
        self._taken += len(predictions)
        self._waiting.append((predictions, weight))

    def close(self) -> None:
        """Write what waits, then stop; a disk that hangs is given up after a while."""
        self._closing.set()
        self._thread.join(self._stop_seconds)
        if self._thread.is_alive():
            self._refused += self._taken - self.written - self._unwritten

    def _run(self) -> None:
        import pyarrow.parquet  # noqa: F401 while the server starts, not at the first flush

        for hour in recent_hours(self.folder):
            self._merge(hour, is_over=True)
        while not self._pause():
            self._flush()
        self._flush()
        self._turn_to(None)

    def _pause(self) -> bool:
        """Until it is time to flush, or much waits; whether to stop."""
        until = time.monotonic() + self._flush_seconds
        while time.monotonic() < until and self._taken_bytes - self._done_bytes < self._most_waiting_bytes // 4:
            if self._closing.wait(min(self._flush_seconds, LOOK_SECONDS)):
                return True
        return self._closing.is_set()

    def _flush(self) -> None:
        by_hour: dict[int, list[Predictions]] = {}
        weights = 0
        while self._waiting:
            predictions, weight = self._waiting.popleft()
            by_hour.setdefault(hour_number(predictions.ids), []).append(predictions)
            weights += weight
        for number, waited in by_hour.items():
            hour, tables = folder_of(self.folder, number), self._tables(waited)
            rows = sum(each.num_rows for each in tables)
            self._turn_to(hour)
            try:
                self._write(hour, tables)
                self.written += rows
            except (OSError, ValueError):
                self._unwritten += rows
            else:
                self._merge(hour)
        self._done_bytes += weights

    def _tables(self, waited: Sequence[Predictions]) -> "list[pa.Table]":
        made = []
        for batches in _sliced(waited):
            try:
                made.append(table(batches))
            except ValueError:  # what Arrow cannot hold
                self._unwritten += sum(map(len, batches))
        return made

    def _write(self, hour: Path, tables: "Sequence[pa.Table]") -> None:
        number, self._flushes = self._flushes, self._flushes + 1  # never twice, whatever becomes of the file
        put(hour, parquet(tables), writer=self._writer, first=number, last=number)

    def _turn_to(self, hour: Path | None) -> None:
        """Merge what the hour before left, when another one begins or the log ends."""
        if self._hour is not None and self._hour != hour:
            self._merge(self._hour, is_over=True)
        self._hour = hour

    def _merge(self, hour: Path, *, is_over: bool = False) -> None:
        # Not merged is not lost: the next flush, hour or start tries again.
        try:
            merge(hour, is_over=is_over)
        except (OSError, ValueError, PredictionLogError):
            self.merges_failed += 1


def _sliced(waited: Sequence[Predictions]) -> Iterator[list[Predictions]]:
    """The same in their order, together until they are enough for a table."""
    rows = 0
    joined: list[Predictions] = []
    for predictions in waited:
        joined.append(predictions)
        rows += len(predictions)
        if rows >= SLICE_ROWS or len(joined) >= SLICE_REQUESTS:
            yield joined
            rows, joined = 0, []
    if joined:
        yield joined
