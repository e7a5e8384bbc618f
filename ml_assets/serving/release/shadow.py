"""What was answered is scored once more by the other release, in a thread beside the requests, which never wait for it.

The other is the candidate; for what a canary answered it is the champion, so that both have scored each request.

Rows wait in a queue with an end; those that find it full are dropped, and counted. Small batches with a pause between them
leave the interpreter to the event loop. What cannot be scored is counted, and logged with NaN: it fails nobody's request.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np

from ml_assets.serving.log.record import Predictions
from ml_assets.serving.log.writer import PredictionLog
from ml_assets.serving.release.bundle import Bundle
from ml_assets.serving.release.loaded import converted

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOGGER = logging.getLogger(__name__)
MOST_WAITING_ROWS = 10_000
BATCH_ROWS = 64
PAUSE_SECONDS = 0.002
STOP_SECONDS = 2.0
ENVIRONMENT = "shadow"


class _Job(msgspec.Struct, frozen=True, gc=False):
    scorer: Bundle
    digest: str
    answered_by: Bundle
    made: Predictions


class Shadow:
    """Takes what was answered without waiting; writes the candidate's scores, under the same ids, to `log`."""

    def __init__(self, log: PredictionLog, *, most_waiting_rows: int = MOST_WAITING_ROWS) -> None:
        self.log = log
        # Each counter is changed by one thread only: `dropped` and `_taken` by the event loop's, the others by ours.
        self.dropped = self.scored = self.failed = self._taken = 0
        self._most_waiting_rows = most_waiting_rows
        self._line: deque[_Job] = deque()
        self._is_there = threading.Event()
        self._stops = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def add(self, scorer: Bundle, digest: str, made: Predictions, *, answered_by: Bundle) -> None:
        """Have this bundle, of this digest, score what the other one answered, later; too much is dropped."""
        if self._taken - self.scored - self.failed + len(made) > self._most_waiting_rows:
            self.dropped += len(made)
            return
        self._taken += len(made)
        self._line.append(_Job(scorer, digest, answered_by, made))
        self._is_there.set()

    def counters(self) -> dict[str, int]:
        """For /metrics."""
        return {
            "shadow_rows_scored": self.scored,
            "shadow_rows_dropped": self.dropped,
            "shadow_rows_failed": self.failed,
            "shadow_predictions_not_logged": self.log.lost,
        }

    def close(self) -> None:
        """Stop after the batch under way; rows that still wait are let go."""
        self._stops.set()
        self._is_there.set()
        self._thread.join(STOP_SECONDS)
        self.log.close()

    def _run(self) -> None:
        while not self._stops.is_set():
            self._is_there.wait()
            self._is_there.clear()
            while self._line and not self._stops.is_set():
                job = self._line.popleft()
                for made in job.made.parts(BATCH_ROWS):
                    self._score(job, made)
                    self._stops.wait(PAUSE_SECONDS)

    def _score(self, job: _Job, made: Predictions) -> None:
        try:
            rows = converted(cast("Sequence[msgspec.Struct]", made.requests), job.answered_by, job.scorer)
            scored = _scored(job, made, job.scorer.score_structs(rows))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a release is told and counted; the next row is scored
            self._score_alone(job, made, error)
            return
        self.log.add(scored)
        self.scored += len(made)

    def _score_alone(self, job: _Job, made: Predictions, error: Exception) -> None:
        """One row of a batch cannot be scored: the others are, each by itself."""
        if len(made) > 1:
            for each in made.parts(1):
                self._score(job, each)
            return
        if not self.failed:  # its kind alone: a message may hold what a client sent
            LOGGER.warning("%s, beside what answers, cannot score: %s", job.scorer.release, type(error).__name__)
        self.log.add(_scored(job, made, np.array([np.nan])))
        self.failed += len(made)


def _scored(job: _Job, answered: Predictions, scores: "NDArray[np.float64]") -> Predictions:
    told = {"release": job.scorer.release, "bundle": job.digest, "environment": ENVIRONMENT}
    return msgspec.structs.replace(answered, **told, scores=scores, threshold=job.scorer.card.threshold)
