"""Writes every prediction to the log, in the background: a request appends to a queue and waits for nothing.

A thread turns the queue into columns and writes them as one Parquet file every `flush_seconds`. Nearly all of that runs in NumPy
and Arrow without the interpreter, which the event loop would wait for. Once an hour has passed, a process of its own, at low
priority, compacts its files. Predictions that weren't flushed when the process is killed are lost; those that don't fit the queue
or the disk are counted in `lost`.
"""

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from ml_assets.serving.log import hour_files
from ml_assets.serving.log.hour_files import due_hours, folder_of, hour_number, put
from ml_assets.serving.log.record import Predictions, Sent, parquet, table

if TYPE_CHECKING:
    import pyarrow as pa

MOST_WAITING_BYTES = 128 * 1024 * 1024
REQUEST_BYTES, SENT_ROW_BYTES, ROW_BYTES = 700, 60, 800
"""Approximate memory of a request's predictions without its text, of a row whose text is kept, and of a row kept as a struct."""
FLUSH_SECONDS = 1.0
LOOK_SECONDS = 0.05
STOP_SECONDS = 5.0
GRACE_SECONDS = 60
"""How long after its end an hour is compacted: its predictions have been flushed by then."""
SLICE_ROWS, SLICE_REQUESTS = 30_000, 2000
"""Approximate size of one table. Building it takes the interpreter from the event loop in a few dozen steps, some of which go
through all its requests."""


class PredictionLog:
    """Takes predictions without waiting and writes them under `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        flush_seconds: float = FLUSH_SECONDS,
        most_waiting_bytes: int = MOST_WAITING_BYTES,
        stop_seconds: float = STOP_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin without a thread. `stop_seconds` is how long closing waits for what is queued."""
        self.folder = folder
        self.written = self.compactions_failed = 0
        self._flush_seconds = flush_seconds
        self._most_waiting_bytes = most_waiting_bytes
        self._stop_seconds = stop_seconds
        self._clock = clock
        self._waiting: deque[tuple[Predictions, int]] = deque()
        # One thread alone changes each counter: the caller's `_refused`, `_taken` and `_taken_bytes`, the writer's the others.
        self._refused = self._taken_bytes = self._done_bytes = self._unwritten = self._taken = 0
        self._hour = 0
        self._compaction: subprocess.Popen[bytes] | None = None
        self._closing = Event()
        self._thread = Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Predictions that will never be in the log."""
        return self._refused + self._unwritten

    def add(self, predictions: Predictions, size: int = 0) -> None:
        """Queue the predictions of a request of `size` bytes; if the queue is full they are lost, and counted."""
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
        """Write the queue, then stop; gives up on a disk that hangs after `stop_seconds`."""
        self._closing.set()
        self._thread.join(self._stop_seconds)
        if self._thread.is_alive():
            self._refused += self._taken - self.written - self._unwritten

    def _run(self) -> None:
        import pyarrow.parquet  # noqa: F401 while the server starts, not at the first flush

        while not self._pause():
            self._flush()
            self._compact()
        self._flush()
        if self._compaction is not None:  # safe at any moment: each record counts once, and the next start resumes
            self._compaction.kill()
            self._compaction.wait()

    def _pause(self) -> bool:
        """Wait until it is time to flush, or much is queued. Return whether to stop."""
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
        for hour, waited in by_hour.items():
            self._write(folder_of(self.folder, hour), waited)
        self._done_bytes += weights

    def _write(self, hour: Path, waited: Sequence[Predictions]) -> None:
        import pyarrow as pa

        if not (tables := self._tables(waited)):
            return
        whole = pa.concat_tables(tables)
        try:
            put(hour, parquet(whole))
            self.written += whole.num_rows
        except (OSError, ValueError):
            self._unwritten += whole.num_rows

    def _tables(self, waited: Sequence[Predictions]) -> "list[pa.Table]":
        tables = []
        for batches in _sliced(waited):
            try:
                tables.append(table(batches))
            except ValueError:  # values that Arrow can't hold
                self._unwritten += sum(map(len, batches))
        return tables

    def _compact(self) -> None:
        """Start a compaction when an hour has passed, and count one that failed: the next hour or start tries again."""
        if self._compaction is not None:
            if self._compaction.poll() is None:
                return
            self.compactions_failed += self._compaction.returncode != 0
            self._compaction = None
        if (hour := int(self._clock() - GRACE_SECONDS) // 3600) != self._hour:
            self._hour = hour
            try:
                self._compaction = _compaction(due_hours(self.folder, before=hour))
            except OSError:
                self.compactions_failed += 1


def _compaction(due: Sequence[Path]) -> "subprocess.Popen[bytes] | None":
    """Start a process that compacts these hours; None if there are none."""
    command = [sys.executable, "-m", hour_files.__name__, *map(str, due)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) if due else None


def _sliced(waited: Sequence[Predictions]) -> Iterator[list[Predictions]]:
    """Group predictions, in order, into enough for a table each."""
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
