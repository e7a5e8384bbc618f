"""POST /reload and POST /rollback, for operators and for a promotion."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec

from ml_assets.errors import MlAssetsError
from ml_assets.serving.http.admission import Client
from ml_assets.serving.http.api_keys import PEER
from ml_assets.serving.http.body_io import AsgiRequest, Reply, as_json
from ml_assets.serving.http.shared_state import State
from ml_assets.serving.http.status_routes import version
from ml_assets.serving.requests.refusals import BadRequest, Refusal, refusal

RollBack = Callable[[str | None, Client, str], object]
"""Records a rollback and writes the pointer: (to, client, reason)."""
BODY_BYTES = 10_000


class RollbackBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /rollback; may be empty."""

    to: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] = "rolled back over HTTP"
    break_glass: bool = False


def operator_routes(
    state: State, roll_back: RollBack | None, break_glass: RollBack | None = None
) -> dict[str, tuple[str, Callable[[AsgiRequest], Awaitable[Reply]]]]:
    """Return the routes that move the endpoint, by path: method and handler."""

    async def reload(request: AsgiRequest) -> Reply:
        by = state.admission.admit(request, "admin")
        return await _swap(state, notifies_peers=by != PEER)

    async def rollback(request: AsgiRequest) -> Reply:
        client = state.admission.client(request, "admin")
        body = _decoded(await request.body(BODY_BYTES))
        move = break_glass if body.break_glass else roll_back
        if move is None:
            raise BadRequest(
                409, [Refusal(path="", message="this server has no ledger to record a rollback in")], reason="rollback"
            )
        try:
            await asyncio.to_thread(move, body.to, client, body.reason)
        except MlAssetsError as error:
            raise BadRequest(409, [Refusal(path="", message=str(error))], reason="rollback") from error
        return await _swap(state, notifies_peers=True)

    return {"/reload": ("POST", reload), "/rollback": ("POST", rollback)}


async def _swap(state: State, *, notifies_peers: bool) -> Reply:
    """Serve the release that the pointer names and, unless it is refused, have the other workers do so."""
    reason = await state.swap()
    if reason is None and notifies_peers and state.peers:
        reason = await asyncio.to_thread(state.peers.reload)
    if reason is None:
        return as_json(version(state))
    serving = state.endpoint.serving
    return as_json({"reason": reason, "release": serving and serving.bundle.release}, status=409)


def _decoded(body: bytes) -> RollbackBody:
    try:
        return msgspec.json.decode(body, type=RollbackBody) if body else RollbackBody()
    except msgspec.ValidationError as error:
        raise BadRequest(422, [refusal(str(error), lambda _: ["break_glass", "reason", "to"])]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(400, [Refusal(path="", message=f"the body is not JSON: {error}")]) from error
