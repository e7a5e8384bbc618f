"""Every prediction, written beside the requests: answering appends to a queue and waits for nothing.

A thread turns what waits into columns and writes them as one Parquet file once in `flush_seconds`. Nearly all of that is done in
NumPy and Arrow without the interpreter, for which the event loop would wait. Once an hour has passed, a process of its own, which
has neither the interpreter nor the priority of this one, compacts its files. What was not flushed when the process is killed is
lost; what does not fit the queue, or the disk, is counted in `lost`. Reading is prediction_records.
"""

import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from ml_assets.serving.log import files as prediction_files
from ml_assets.serving.log.files import due_hours, folder_of, hour_number, put
from ml_assets.serving.log.record import Predictions, Sent, parquet, table

if TYPE_CHECKING:
    import pyarrow as pa

MOST_WAITING_BYTES = 128 * 1024 * 1024
REQUEST_BYTES, SENT_ROW_BYTES, ROW_BYTES = 700, 60, 800
"""About what the predictions of a request weigh in memory beside its text, and each row of them, the text of which is kept or
which is kept itself."""
FLUSH_SECONDS = 1.0
LOOK_SECONDS = 0.05
STOP_SECONDS = 5.0
GRACE_SECONDS = 60
"""How long after its end an hour is compacted: what was answered in it has been flushed by then."""
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.written = self.compactions_failed = 0
        self._flush_seconds = flush_seconds
        self._most_waiting_bytes = most_waiting_bytes
        self._stop_seconds = stop_seconds
        self._clock = clock
        self._waiting: deque[tuple[Predictions, int]] = deque()
        # Each counter is changed by one thread only: what was refused and taken by the caller's, the others by the writer's.
        self._refused = self._taken_bytes = self._done_bytes = self._unwritten = self._taken = 0
        self._hour = 0
        self._compaction: subprocess.Popen[bytes] | None = None
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

        while not self._pause():
            self._flush()
            self._compact()
        self._flush()
        if self._compaction is not None:  # whenever it ends, each record counts once: the next start goes on
            self._compaction.kill()
            self._compaction.wait()

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
        made = []
        for batches in _sliced(waited):
            try:
                made.append(table(batches))
            except ValueError:  # what Arrow cannot hold
                self._unwritten += sum(map(len, batches))
        return made

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
    """A process that compacts these hours; none if there are none."""
    command = [sys.executable, "-m", prediction_files.__name__, *map(str, due)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) if due else None


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
