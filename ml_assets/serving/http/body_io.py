"""Requests and replies on plain ASGI: reads a body within its limit, sends one whole reply."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from ml_assets.serving.requests.refusals import BadRequest, Refusal, body_too_large

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A whole response."""

    status: int
    body: bytes
    kind: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class AsgiRequest(msgspec.Struct, frozen=True):
    """An ASGI request whose body is still to be read."""

    scope: Any
    receive: Any

    def header(self, name: bytes) -> bytes | None:
        """Return a header's value, None without it; `name` is in lower case."""
        return next((value for header, value in self.scope["headers"] if header == name), None)

    async def body(self, limit: int) -> bytes:
        """Read the body. Raises ClientGone, and BadRequest with 415 for an encoded one and 413 over `limit` bytes, at once if its
        stated length is."""
        if (encoding := self.header(b"content-encoding") or b"identity") != b"identity":
            about = f"a body encoded as {encoding.decode('latin-1')[:40]!r} is not read; send it as it is"
            raise BadRequest(415, [Refusal(path="", message=about)], reason="encoded")
        pieces, size, has_more = [], 0, True
        while has_more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            pieces.append(message.get("body", b""))
            size, has_more = size + len(pieces[-1]), message.get("more_body", False)
            if size > limit or (has_more and int(self.header(b"content-length") or 0) > limit):
                raise body_too_large(limit)
        return b"".join(pieces)


async def send_reply(send: Send, reply: Reply, *, closes: bool) -> None:
    """Send the reply; `closes` ends the connection after it."""
    headers = [(b"content-type", reply.kind), (b"content-length", b"%d" % len(reply.body)), *reply.headers]
    if closes:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def as_json(content: Any, *, status: int = 200) -> Reply:
    """Make a JSON reply."""
    return Reply(status, msgspec.json.encode(content))


def refused(error: BadRequest) -> Reply:
    """Make the reply to a refused request."""
    headers = ((b"retry-after", b"1"),) if error.status in (429, 503) else ()
    if error.status == 401:
        headers = ((b"www-authenticate", b"Bearer"),)
    return Reply(error.status, error.body(), headers=headers)
