"""The endpoint as an ASGI application."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from ml_assets.errors import MlAssetsError
from ml_assets.serving.http.admission import Admission
from ml_assets.serving.http.api_keys import ApiKey
from ml_assets.serving.http.batcher import Batcher
from ml_assets.serving.http.body_io import AsgiRequest, ClientGone, Message, Receive, Reply, Scope, Send, refused, send_reply
from ml_assets.serving.http.followed_ledger import Followed
from ml_assets.serving.http.operator_routes import RollBack, operator_routes
from ml_assets.serving.http.outcomes_route import TakeOutcomes, outcomes_route
from ml_assets.serving.http.peer_workers import Peers
from ml_assets.serving.http.predict_route import PredictRoute
from ml_assets.serving.http.shared_state import State
from ml_assets.serving.http.status_routes import status_routes
from ml_assets.serving.log.writer import PredictionLog
from ml_assets.serving.release.shadow import ShadowScorer
from ml_assets.serving.release.switch import Endpoint
from ml_assets.serving.requests.parser import Limits
from ml_assets.serving.requests.refusals import BadRequest, Refusal

Handler = Callable[[AsgiRequest], Awaitable[Reply]]
_NOT_FOUND = BadRequest(404, [Refusal(path="", message="no such route; GET /openapi.json describes them")], reason="no_route")


@dataclass(frozen=True)
class App:
    """Routes requests: a path, its method, its handler."""

    state: State
    routes: Mapping[str, tuple[str, Handler]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection: the lifespan or a request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        path: str = scope["path"]
        method, handler = self.routes.get(path, ("", None))
        try:
            if handler is None:
                raise _NOT_FOUND
            if scope["method"] != method and (scope["method"], method) != ("HEAD", "GET"):  # the server leaves the body out
                raise BadRequest(405, [Refusal(path="", message=f"{path} is for {method}")], reason="method")
            reply = await handler(AsgiRequest(scope, receive))
        except BadRequest as error:
            self.state.metrics.refusals[error.reason] += 1
            reply = refused(error)
        except ClientGone:
            return
        except MlAssetsError as error:
            reply = refused(BadRequest(500, [Refusal(path="", message=str(error))], reason="error"))
        await send_reply(send, reply, closes=self.state.endpoint.is_draining or reply.status in (408, 413, 415))
        known = path if handler else "other"
        self.state.metrics.requests[known, reply.status] += 1
        if path == "/predict":
            self.state.metrics.latency.add(time.perf_counter() - started)

    async def _live(self, receive: Receive, send: Send) -> None:
        message: Message = await receive()
        if message["type"] == "lifespan.startup":
            await self.state.start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await asyncio.to_thread(self.state.close)
        await send({"type": "lifespan.shutdown.complete"})


def create_app(
    *,
    endpoint: Endpoint,
    log: PredictionLog,
    limits: Limits | None = None,
    keys: tuple[ApiKey, ...] = (),
    roll_back: RollBack | None = None,
    break_glass: RollBack | None = None,
    followed: Followed | None = None,
    ship: Callable[[], object] | None = None,
    take_outcomes: TakeOutcomes | None = None,
    shadow_log: PredictionLog | None = None,
    peers: Peers | None = None,
    batch_rows: int = 2000,
    most_waiting_rows: int = 20_000,
    most_per_client: int = 256,
) -> App:
    """Make the app of one endpoint.

    `followed` says what has to serve, and is told what does; `ship` sends what was logged to the other machines. `roll_back`
    moves the endpoint to an earlier release; `break_glass` does so on this machine alone, while the ledger is away;
    `take_outcomes` delivers posted outcomes; `shadow_log` takes the scores of a shadow; `peers` are the other workers of the same
    server. A batch has at most `batch_rows` rows, or one request. Requests are refused beyond `most_waiting_rows` waiting rows,
    and beyond `most_per_client` of one client under way.
    """
    state = State(
        endpoint=endpoint,
        log=log,
        limits=limits or Limits(),
        admission=Admission(keys, most_per_client, peers.own_key if peers else None),
        shadow=ShadowScorer(shadow_log) if shadow_log else None,
        peers=peers,
        followed=followed,
        ship=ship,
        make_batcher=lambda timed: Batcher(batch_rows=batch_rows, most_waiting_rows=most_waiting_rows, timed=timed),
    )
    predicting: dict[str, tuple[str, Handler]] = {"/predict": ("POST", PredictRoute(state).predict)}
    moved = operator_routes(state, roll_back, break_glass) | outcomes_route(state, take_outcomes)
    return App(state, predicting | moved | status_routes(state))
