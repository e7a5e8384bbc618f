"""Scores served requests again with the other release, in a thread of its own, which no request waits for.

The other release is the candidate or, for requests that a canary served, the champion, so that both have scored each request.

Rows wait in a bounded queue; those that find it full are dropped and counted. Small batches with a pause between them leave the
interpreter to the event loop. A row that can't be scored is counted, and logged with NaN: it fails no one's request.
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
from ml_assets.serving.release.loaded_releases import converted

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOGGER = logging.getLogger(__name__)
MOST_WAITING_ROWS = 10_000
BATCH_ROWS = 64
PAUSE_SECONDS = 0.002
STOP_SECONDS = 2.0
ENVIRONMENT = "shadow"


class _ShadowJob(msgspec.Struct, frozen=True, gc=False):
    scorer: Bundle
    digest: str
    served_by: Bundle
    served: Predictions


class ShadowScorer:
    """Takes served predictions without waiting; writes the other release's scores, under the same ids, to `log`."""

    def __init__(self, log: PredictionLog, *, most_waiting_rows: int = MOST_WAITING_ROWS) -> None:
        """Begin without a thread; more than `most_waiting_rows` in the queue are dropped."""
        self.log = log
        # Each counter is changed by one thread only: `dropped` and `_taken` by the event loop's, the others by ours.
        self.dropped = self.scored = self.failed = self._taken = 0
        self._most_waiting_rows = most_waiting_rows
        self._queue: deque[_ShadowJob] = deque()
        self._has_jobs = threading.Event()
        self._stops = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def add(self, scorer: Bundle, digest: str, served: Predictions, *, served_by: Bundle) -> None:
        """Queue these predictions to be scored by `scorer`, of this digest; if the queue is full they are dropped and counted."""
        if self._taken - self.scored - self.failed + len(served) > self._most_waiting_rows:
            self.dropped += len(served)
            return
        self._taken += len(served)
        self._queue.append(_ShadowJob(scorer, digest, served_by, served))
        self._has_jobs.set()

    def counters(self) -> dict[str, int]:
        """Return the counters for /metrics, by name."""
        return {
            "shadow_rows_scored": self.scored,
            "shadow_rows_dropped": self.dropped,
            "shadow_rows_failed": self.failed,
            "shadow_predictions_not_logged": self.log.lost,
        }

    def close(self) -> None:
        """Stop after the batch under way; rows that still wait are dropped."""
        self._stops.set()
        self._has_jobs.set()
        self._thread.join(STOP_SECONDS)
        self.log.close()

    def _run(self) -> None:
        while not self._stops.is_set():
            self._has_jobs.wait()
            self._has_jobs.clear()
            while self._queue and not self._stops.is_set():
                job = self._queue.popleft()
                for served in job.served.parts(BATCH_ROWS):
                    self._score(job, served)
                    self._stops.wait(PAUSE_SECONDS)

    def _score(self, job: _ShadowJob, served: Predictions) -> None:
        try:
            rows = converted(cast("Sequence[msgspec.Struct]", served.requests), job.served_by, job.scorer)
            scored = _scored(job, served, job.scorer.score_structs(rows))
        except Exception as error:  # noqa: BLE001 - any fault of a release is logged and counted; the next row is scored
            self._score_alone(job, served, error)
            return
        self.log.add(scored)
        self.scored += len(served)

    def _score_alone(self, job: _ShadowJob, served: Predictions, error: Exception) -> None:
        """Score each row of a failed batch by itself, so that one row doesn't fail the others; log a row that failed alone."""
        if len(served) > 1:
            for row in served.parts(1):
                self._score(job, row)
            return
        if not self.failed:  # its kind alone: a message may hold what a client sent
            LOGGER.warning("%s, in the shadow, cannot score: %s", job.scorer.release, type(error).__name__)
        self.log.add(_scored(job, served, np.array([np.nan])))
        self.failed += len(served)


def _scored(job: _ShadowJob, served: Predictions, scores: "NDArray[np.float64]") -> Predictions:
    scorer = {"release": job.scorer.release, "bundle": job.digest, "environment": ENVIRONMENT}
    card = job.scorer.card
    classes = card.classes if scores.ndim > 1 else ()  # a row that failed has a score of no class
    return msgspec.structs.replace(served, **scorer, scores=scores, threshold=card.threshold, classes=classes)
