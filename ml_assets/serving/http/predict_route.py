"""POST /predict: reads a request, scores its rows, logs them and replies."""

import time
from typing import TYPE_CHECKING

import msgspec

from ml_assets.serving.http.batcher import Overloaded, Rows
from ml_assets.serving.http.body_io import AsgiRequest, Reply
from ml_assets.serving.http.prediction_answer import answer_of
from ml_assets.serving.http.shared_state import State
from ml_assets.serving.log.record import Sent
from ml_assets.serving.plain.duckdb_features import UncomputableRow
from ml_assets.serving.release.loaded_releases import Serving, converted
from ml_assets.serving.requests.refusals import BadRequest, Refusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PredictRoute:
    """Scores the rows of a request with the release that serves when it is read, or with the canary if it is of its share."""

    def __init__(self, state: State) -> None:
        """Answer from the state of one endpoint."""
        self._state = state
        self._encode = msgspec.json.Encoder().encode

    async def predict(self, request: AsgiRequest) -> Reply:
        """Answer POST /predict. Raises BadRequest for a body that cannot be scored."""
        state = self._state
        client = state.admission.admit(request, "predict")
        state.admission.enter(client)
        try:
            body = await request.body(state.limits.body_bytes)
            serving, at, started = state.serving(), time.time(), time.perf_counter()
            rows = serving.bundle.requests.decode(body)
            state.metrics.stage("parse", time.perf_counter() - started)
            scorer, rows, scores = await self._score(serving, rows)
        except UncomputableRow as error:
            raise BadRequest(422, [Refusal(path="", message=str(error))], reason="uncomputable") from error
        except Overloaded as error:
            raise BadRequest(503, [Refusal(path="", message=str(error))], reason="overloaded") from error
        finally:
            state.admission.leave(client)
        started = time.perf_counter()
        requests = self._as_logged(body, rows) if scorer is serving else rows
        answer, predictions = answer_of(scorer, state.endpoint.environment, at=at, requests=requests, scores=scores)
        state.log.add(predictions, len(body))
        if state.shadow and (candidate := serving.candidate):
            other, shadowed = candidate.other(scorer.pointer.bundle), msgspec.structs.replace(predictions, requests=rows)
            state.shadow.add(candidate.scorers[other], other, shadowed, served_by=scorer.bundle)
        state.metrics.rows += len(rows)
        reply = Reply(200, self._encode(answer))
        state.metrics.stage("encode", time.perf_counter() - started)
        return reply

    def _as_logged(self, body: bytes, rows: Rows) -> Rows | Sent:
        """The rows as they were sent; only decoded rows are without the fields that are ignored, which must not be logged."""
        return rows if self._state.limits.unknown_fields == "ignore" else Sent(body, len(rows))

    async def _score(self, serving: Serving, rows: Rows) -> "tuple[Serving, Rows, NDArray[np.float64]]":
        """Return the release that serves the request, the rows as it knows them, and its scores."""
        candidate, metrics = serving.candidate, self._state.metrics
        if candidate and (canary := candidate.canary) and candidate.takes(rows[0]):
            try:
                own_rows = converted(rows, serving.bundle, canary.bundle)
                scores = await self._state.batcher.score(canary.bundle, own_rows)
            except Overloaded:
                raise
            except Exception:  # noqa: BLE001 - the champion serves what a canary can't; counted, and judged as its failure
                metrics.canary_failed_rows += len(rows)
            else:
                metrics.canary_rows += len(rows)
                return canary, own_rows, scores
        return serving, rows, await self._state.batcher.score(serving.bundle, rows)
