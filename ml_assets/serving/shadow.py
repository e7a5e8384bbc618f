"""What was answered is scored once more by a candidate, in a thread beside the requests, which never wait for it.

Rows wait in a queue with an end; those that find it full are dropped, and counted. Small batches with a pause between them
leave the interpreter to the event loop. What the candidate cannot score is counted: it fails nobody's request.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import cast

import msgspec

from ml_assets.serving.bundle import Bundle
from ml_assets.serving.prediction_log import PredictionLog
from ml_assets.serving.prediction_record import Record

LOGGER = logging.getLogger(__name__)
MOST_WAITING_ROWS = 10_000
BATCH_ROWS = 64
PAUSE_SECONDS = 0.002
STOP_SECONDS = 2.0
ENVIRONMENT = "shadow"


class _Job(msgspec.Struct, frozen=True, gc=False):
    candidate: Bundle
    champion: Bundle
    made: Sequence[Record]
    digest: str


class Shadow:
    """Takes answered records without waiting; writes the candidate's scores, under the same ids, to `log`."""

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

    def add(self, candidate: Bundle, champion: Bundle, made: Sequence[Record], *, digest: str = "") -> None:
        """Have the candidate, whose bundle has this digest, score what the champion answered, later; too much is dropped."""
        if self._taken - self.scored - self.failed + len(made) > self._most_waiting_rows:
            self.dropped += len(made)
            return
        self._taken += len(made)
        self._line.append(_Job(candidate, champion, made, digest))
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
                for first in range(0, len(job.made), BATCH_ROWS):
                    self._score(job, job.made[first : first + BATCH_ROWS])
                    self._stops.wait(PAUSE_SECONDS)

    def _score(self, job: _Job, made: Sequence[Record]) -> None:
        try:
            scores = job.candidate.score_structs(_rows(job, made))
            told = [_scored(job, each, score) for each, score in zip(made, scores, strict=True)]
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a candidate is told and counted; the next row is scored
            if not self.failed:  # its kind alone: a message may hold what a client sent
                LOGGER.warning("the shadow %s cannot score: %s", job.candidate.release, type(error).__name__)
            self.failed += len(made)
            return
        self.log.add(told)
        self.scored += len(made)


def _rows(job: _Job, made: Sequence[Record]) -> Sequence[msgspec.Struct]:
    """The requests as the candidate knows them, under its own rules where its fields differ."""
    if job.candidate.requests.fields == job.champion.requests.fields:
        return [cast("msgspec.Struct", each.request) for each in made]  # the server logs what it decoded
    return job.candidate.requests.convert([msgspec.to_builtins(each.request) for each in made])


def _scored(job: _Job, answered: Record, score: float) -> Record:
    told = {"release": job.candidate.release, "bundle": job.digest, "environment": ENVIRONMENT}
    return msgspec.structs.replace(answered, **told, score=score, decision=job.candidate.decide(score))
