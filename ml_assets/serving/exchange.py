"""Bytes in, bytes out: reading a body within its limit, and turning refusals into responses."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ml_assets.errors import MlAssetsError
from ml_assets.serving.refusals import BadRequest, Refusal

Handler = Callable[[Request], Awaitable[Response]]


async def answered(handler: Handler, request: Request) -> Response:
    """The handler's response, or the refusal that it raised."""
    try:
        return await handler(request)
    except BadRequest as refused:
        headers = {"retry-after": "1"} if refused.status == 503 else None
        return Response(refused.body(), refused.status, headers, media_type="application/json")
    except ClientDisconnect:
        return Response(status_code=400)
    except MlAssetsError as error:
        return Response(BadRequest(500, [Refusal(path="", message=str(error))]).body(), 500, media_type="application/json")


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body; one over `limit` bytes is refused before it is all read."""
    refused = BadRequest(413, [Refusal(path="", message=f"the body is over {limit} bytes")])
    if int(request.headers.get("content-length", 0)) > limit:
        raise refused
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise refused
    return bytes(content)


def as_json(content: Any, *, status: int = 200) -> Response:
    """`content` as a JSON response."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")
