"""Requests that wait together are scored in one call, on the one thread that uses the bundles."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate

import msgspec

from ml_assets.serving.bundle import Bundle
from ml_assets.serving.feature_sql import UncomputableRow

Rows = Sequence[msgspec.Struct]
Outcome = list[float] | BaseException


class Overloaded(Exception):
    """More rows wait than the endpoint takes."""


@dataclass(frozen=True)
class _Job:
    bundle: Bundle
    rows: Rows
    answer: "asyncio.Future[list[float]]"


class Batcher:
    """Scores rows with the bundle that decoded them. The waiting line belongs to the event loop's thread."""

    def __init__(self, *, batch_rows: int, most_waiting_rows: int) -> None:
        self.waiting_rows = 0
        self.batches = 0
        self._batch_rows = batch_rows
        self._most_waiting_rows = most_waiting_rows
        self._line: deque[_Job] = deque()
        self._is_scoring = False
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scoring")

    async def score(self, bundle: Bundle, rows: Rows) -> list[float]:
        """Scores of the rows by `bundle`; raises Overloaded at once when too many rows wait."""
        if self.waiting_rows + len(rows) > self._most_waiting_rows:
            raise Overloaded(f"{self.waiting_rows} rows wait already")
        job = _Job(bundle, rows, self._loop.create_future())
        self.waiting_rows += len(rows)
        self._line.append(job)
        self._loop.call_soon(self._start)
        try:
            return await job.answer
        finally:
            self.waiting_rows -= len(rows)

    def close(self) -> None:
        """Stop after the batch that is being scored."""
        self._executor.shutdown(wait=True)

    def _start(self) -> None:
        if self._is_scoring or not self._line:
            return
        self._is_scoring = True
        self.batches += 1
        jobs = self._together()
        work = self._executor.submit(_score, jobs)
        work.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._finish, jobs, done))

    def _together(self) -> list[_Job]:
        """The waiting jobs of one bundle, in order, up to the row limit; at least one job."""
        jobs = [self._line.popleft()]
        rows = len(jobs[0].rows)
        while self._line and self._line[0].bundle is jobs[0].bundle:
            rows += len(self._line[0].rows)
            if rows > self._batch_rows:
                break
            jobs.append(self._line.popleft())
        return jobs

    def _finish(self, jobs: Sequence[_Job], done: "Future[list[Outcome]]") -> None:
        self._is_scoring = False
        self._start()
        error = done.exception()
        outcomes = done.result() if error is None else [error] * len(jobs)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.answer.done():
                continue
            if isinstance(outcome, BaseException):
                job.answer.set_exception(outcome)
            else:
                job.answer.set_result(outcome)


def _score(jobs: Sequence[_Job]) -> list[Outcome]:
    try:
        scores = jobs[0].bundle.score_structs([row for job in jobs for row in job.rows])
    except UncomputableRow as error:
        # One request's rows must not fail its neighbours: each job gets an outcome of its own.
        return [error] if len(jobs) == 1 else [outcome for job in jobs for outcome in _score([job])]
    ends = accumulate(len(job.rows) for job in jobs)
    return [scores[end - len(job.rows) : end] for job, end in zip(jobs, ends, strict=True)]
