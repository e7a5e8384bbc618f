"""The endpoint's routes. What it serves, and from where, comes in through `create_app`."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ml_assets.errors import MlAssetsError
from ml_assets.serving.answers import answer, records
from ml_assets.serving.batcher import Batcher, Overloaded
from ml_assets.serving.endpoint import Endpoint, OpenBundle, ReadPointer, Serving
from ml_assets.serving.exchange import Handler, answered, as_json, read_body
from ml_assets.serving.feature_sql import UncomputableRow
from ml_assets.serving.metrics import Metrics
from ml_assets.serving.openapi import document
from ml_assets.serving.refusals import BadRequest, Refusal
from ml_assets.serving.requests import Limits

if TYPE_CHECKING:
    from ml_assets.serving.prediction_log import PredictionLog


def create_app(
    *,
    product: str,
    environment: str,
    pointer: ReadPointer,
    open_bundle: OpenBundle,
    log: "PredictionLog",
    limits: Limits | None = None,
    batch_rows: int = 1000,
    most_waiting_rows: int = 20_000,
) -> Starlette:
    """The endpoint of one product in one environment; `app.state.endpoint` is its Endpoint."""
    limits = limits or Limits()
    endpoint = Endpoint(product=product, environment=environment, pointer=pointer, open_bundle=open_bundle, limits=limits)
    routes = _Routes(endpoint, log, limits)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        routes.batcher = Batcher(batch_rows=batch_rows, most_waiting_rows=most_waiting_rows)
        await routes.swap()
        yield
        routes.batcher.close()
        await asyncio.to_thread(log.close)

    app = Starlette(routes=routes.table(), lifespan=lifespan)
    app.state.endpoint = endpoint
    return app


class _Routes:
    batcher: Batcher

    def __init__(self, endpoint: Endpoint, log: "PredictionLog", limits: Limits) -> None:
        self.endpoint = endpoint
        self.log = log
        self.limits = limits
        self.metrics = Metrics()

    def table(self) -> list[Route]:
        gets = {"/health": self.health, "/ready": self.ready, "/release": self.release, "/metrics": self.show_metrics}
        posts = {"/predict": self.predict, "/reload": self.reload}
        named = [(path, handler, "GET") for path, handler in {**gets, "/openapi.json": self.openapi}.items()]
        named += [(path, handler, "POST") for path, handler in posts.items()]
        return [Route(path, self._counted(path, handler), methods=[verb]) for path, handler, verb in named]

    async def swap(self) -> str | None:
        """Serve what the pointer names; the reason if that is refused."""
        try:
            self.metrics.swaps += await asyncio.to_thread(self.endpoint.reload)
        except (MlAssetsError, OSError) as error:
            self.metrics.refused_swaps += 1
            self.endpoint.trouble = str(error)
            return str(error)
        return None

    async def predict(self, request: Request) -> Response:
        serving, at = self._serving(), time.time()
        rows = serving.bundle.requests.decode(await read_body(request, self.limits.body_bytes))
        try:
            scores = await self.batcher.score(serving.bundle, rows)
        except UncomputableRow as error:
            raise BadRequest(422, [Refusal(path="", message=str(error))]) from error
        except Overloaded as error:
            raise BadRequest(503, [Refusal(path="", message=str(error))]) from error
        made = records(serving, self.endpoint.environment, at=at, rows=rows, scores=scores)
        self.log.add(made)
        self.metrics.rows += len(rows)
        return as_json(answer(serving.bundle, made))

    async def reload(self, request: Request) -> Response:
        reason = await self.swap()
        if reason is None:
            return as_json(self._release(self._serving()))
        answering = self.endpoint.serving
        return as_json({"reason": reason, "release": answering and answering.bundle.release}, status=409)

    async def health(self, request: Request) -> Response:
        return as_json({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        serving = self._serving()
        if self.endpoint.is_draining:
            return as_json({"status": "stopping"}, status=503)
        return as_json({"status": "ready", "release": serving.bundle.release})

    async def release(self, request: Request) -> Response:
        return as_json(self._release(self._serving()))

    async def openapi(self, request: Request) -> Response:
        return as_json(document(self._serving().bundle))

    async def show_metrics(self, request: Request) -> Response:
        text = self.metrics.text(
            product=self.endpoint.product,
            release=self.endpoint.serving.bundle.release if self.endpoint.serving else None,
            waiting=self.batcher.waiting_rows,
            batches=self.batcher.batches,
            log_written=self.log.written,
            log_lost=self.log.lost,
        )
        return Response(text, media_type="text/plain; version=0.0.4")

    def _release(self, serving: Serving) -> dict[str, Any]:
        place = {"product": self.endpoint.product, "environment": self.endpoint.environment}
        return {**place, **msgspec.structs.asdict(serving.pointer)}

    def _serving(self) -> Serving:
        if self.endpoint.serving is None:
            raise BadRequest(503, [Refusal(path="", message=self.endpoint.trouble)])
        return self.endpoint.serving

    def _counted(self, path: str, handler: Handler) -> Handler:
        async def counted(request: Request) -> Response:
            started, status = time.perf_counter(), 500
            try:
                response = await answered(handler, request)
                status = response.status_code
            finally:
                self.metrics.observe(path=path, status=status, seconds=time.perf_counter() - started)
            if self.endpoint.is_draining:
                response.headers["connection"] = "close"
            return response

        return counted
