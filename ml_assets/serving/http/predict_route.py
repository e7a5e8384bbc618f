"""POST /predict."""

import time
from typing import TYPE_CHECKING

import msgspec

from ml_assets.serving.http.batcher import Overloaded, Rows
from ml_assets.serving.http.body_io import Reply, Request
from ml_assets.serving.http.predictions import answered
from ml_assets.serving.http.shared_state import State
from ml_assets.serving.log.record import Sent
from ml_assets.serving.plain.duckdb_features import UncomputableRow
from ml_assets.serving.release.loaded import Serving, converted
from ml_assets.serving.requests.refusals import BadRequest, Refusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Predicting:
    """Scores the rows of a request with the release that answers when it is read, or the canary whose share it is of."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._encode = msgspec.json.Encoder().encode

    async def predict(self, request: Request) -> Reply:
        state = self._state
        asker = state.admission.admit(request, "predict")
        state.admission.enter(asker)
        try:
            body = await request.body(state.limits.body_bytes)
            serving, at, started = state.serving(), time.time(), time.perf_counter()
            rows = serving.bundle.requests.decode(body)
            state.metrics.stage("parse", time.perf_counter() - started)
            answering, rows, scores = await self._score(serving, rows)
        except UncomputableRow as error:
            raise BadRequest(422, [Refusal(path="", message=str(error))], reason="uncomputable") from error
        except Overloaded as error:
            raise BadRequest(503, [Refusal(path="", message=str(error))], reason="overloaded") from error
        finally:
            state.admission.leave(asker)
        started = time.perf_counter()
        requests = self._as_logged(body, rows) if answering is serving else rows
        answer, made = answered(answering, state.endpoint.environment, at=at, requests=requests, scores=scores)
        state.log.add(made, len(body))
        if state.shadow and (beside := serving.beside):
            other, told = beside.other(answering.pointer.bundle), msgspec.structs.replace(made, requests=rows)
            state.shadow.add(beside.scorers[other], other, told, answered_by=answering.bundle)
        state.metrics.rows += len(rows)
        reply = Reply(200, self._encode(answer))
        state.metrics.stage("encode", time.perf_counter() - started)
        return reply

    def _as_logged(self, body: bytes, rows: Rows) -> Rows | Sent:
        """The rows as they were sent. Fields that are ignored are not logged, nor are they looked at by who decodes."""
        return rows if self._state.limits.unknown_fields == "ignore" else Sent(body, len(rows))

    async def _score(self, serving: Serving, rows: Rows) -> "tuple[Serving, Rows, NDArray[np.float64]]":
        """The release that answers the request, the rows as it knows them, and its scores."""
        beside, metrics = serving.beside, self._state.metrics
        if beside and (canary := beside.canary) and beside.takes(rows[0]):
            try:
                known = converted(rows, serving.bundle, canary.bundle)
                scores = await self._state.line.score(canary.bundle, known)
            except Overloaded:
                raise
            except Exception:  # noqa: BLE001 - what a canary cannot answer the champion does; counted, and judged as its failure
                metrics.canary_failed_rows += len(rows)
            else:
                metrics.canary_rows += len(rows)
                return canary, known, scores
        return serving, rows, await self._state.line.score(serving.bundle, rows)
