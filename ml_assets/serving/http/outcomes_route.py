"""POST /outcomes: what questions turned out to be, row by row; with a key of its own scope."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ml_assets.errors import MlAssetsError
from ml_assets.serving.http.body_io import AsgiRequest, Reply, as_json
from ml_assets.serving.http.shared_state import State
from ml_assets.serving.requests.refusals import BadRequest, Refusal

BODY_BYTES = 10_000_000
MOST_ROWS = 100_000


class Received(Protocol):
    """The outcome of posted rows."""

    @property
    def rows(self) -> int:
        """How many were delivered."""

    @property
    def files(self) -> Sequence[str]:
        """The names of the files."""

    @property
    def refused(self) -> Mapping[int, str]:
        """Why others were not, by row number."""


TakeOutcomes = Callable[[Sequence[Mapping[str, Any]]], Received]


class OutcomesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /outcomes."""

    outcomes: list[dict[str, Any]]


def outcomes_route(state: State, take: TakeOutcomes | None) -> dict[str, tuple[str, Callable[[AsgiRequest], Awaitable[Reply]]]]:
    """Return the route. It answers 200 where every row was taken and 422 where some were refused, which are named by number; the
    others are delivered all the same."""

    async def outcomes(request: AsgiRequest) -> Reply:
        state.admission.admit(request, "outcomes")
        rows = _decoded(await request.body(BODY_BYTES))
        if take is None:
            raise BadRequest(
                409, [Refusal(path="", message="this server has no place to deliver outcomes to")], reason="outcomes"
            )
        try:
            taken = await asyncio.to_thread(take, rows)
        except MlAssetsError as error:
            raise BadRequest(409, [Refusal(path="", message=str(error))], reason="outcomes") from error
        detail = [{"path": f"outcomes[{number}]", "message": why} for number, why in taken.refused.items()]
        content = {"taken": taken.rows, "files": list(taken.files), "detail": detail}
        return as_json(content, status=422 if detail else 200)

    return {"/outcomes": ("POST", outcomes)}


def _decoded(body: bytes) -> list[dict[str, Any]]:
    try:
        rows = msgspec.json.decode(body, type=OutcomesBody).outcomes
    except msgspec.ValidationError as error:
        message = f'{error}; send {{"outcomes": [{{…}}, …]}}'
        raise BadRequest(422, [Refusal(path="outcomes", message=message)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(400, [Refusal(path="", message=f"the body is not JSON: {error}")]) from error
    if len(rows) > MOST_ROWS:
        raise BadRequest(413, [Refusal(path="outcomes", message=f"{len(rows):,} rows; at most {MOST_ROWS:,} are taken at once")])
    return rows
