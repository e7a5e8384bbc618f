"""POST /predict."""

import time

import msgspec

from ml_assets.serving.answers import answer, records
from ml_assets.serving.batcher import Overloaded
from ml_assets.serving.exchange import Reply, Request
from ml_assets.serving.feature_sql import UncomputableRow
from ml_assets.serving.refusals import BadRequest, Refusal
from ml_assets.serving.state import State


class Predicting:
    """Scores the rows of a request with the release that answers when it is read."""

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
            scores = await state.line.score(serving.bundle, rows)
        except UncomputableRow as error:
            raise BadRequest(422, [Refusal(path="", message=str(error))], reason="uncomputable") from error
        except Overloaded as error:
            raise BadRequest(503, [Refusal(path="", message=str(error))], reason="overloaded") from error
        finally:
            state.admission.leave(asker)
        started = time.perf_counter()
        made = records(serving, state.endpoint.environment, at=at, rows=rows, scores=scores)
        state.log.add(made, len(body))
        if state.shadow and (candidate := state.endpoint.shadow):
            state.shadow.add(candidate, serving.bundle, made, digest=state.endpoint.shadow_digest)
        state.metrics.rows += len(rows)
        reply = Reply(200, self._encode(answer(serving.bundle, made)))
        state.metrics.stage("encode", time.perf_counter() - started)
        return reply
