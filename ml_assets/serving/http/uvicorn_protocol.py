"""uvicorn's HTTP protocol with timeouts for slow clients, a limit on their headers, and answers that are sent together."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 64 * 1024
LINGER_SECONDS = 2.0
"""How long a client that is still sending may take to read its refusal, which it would lose if the connection closed at once."""
_BLANK_LINE = b"\r\n\r\n"
_TIMED_OUT = b'{"detail":[{"path":"","message":"the request took too long to arrive"}]}'
_TOO_LONG = b'{"detail":[{"path":"","message":"the headers are too long"}]}'


class _JoinedWrites:
    """A transport that sends what is written in one turn of the event loop at the turn's end.

    uvloop sends at once: the head of an answer, then its body, and the answers of a batch one by one, each waking its client or
    the proxy. With 64 connections on one machine that took longer than computing the answers. Data waits for no other condition,
    so an answer without a body (to HEAD, 204, 304) leaves like any other.
    """

    def __init__(self, transport: asyncio.Transport, protocol: "PatientProtocol") -> None:
        self._transport = transport
        self._protocol = protocol
        self._pending = b""
        self._is_lingering = False

    def write(self, data: bytes) -> None:
        """Keep the bytes for the end of the loop's turn."""
        if not self._pending:
            self._protocol.loop.call_soon(self._send)
        self._pending += data

    def _send(self) -> None:
        pending, self._pending = self._pending, b""
        if pending and not self.is_closing():
            self._transport.write(pending)

    def close(self) -> None:
        """Close; a client that is still sending gets EOF, and what it sends is dropped for `LINGER_SECONDS`."""
        self._send()
        if self.is_closing() or not (self._protocol.is_receiving and self._transport.can_write_eof()):
            self._transport.close()
            return
        self._is_lingering = True
        self._transport.write_eof()
        if not self._transport.is_reading():
            self._transport.resume_reading()
        self._protocol.loop.call_later(LINGER_SECONDS, self._transport.close)

    def is_closing(self) -> bool:
        return self._is_lingering or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class PatientProtocol(HttpToolsProtocol):
    """Keeps since when it waits for its client: for the rest of a request, or for an answer to be read."""

    waits_since: float | None = None
    is_receiving = False
    """Between the first byte of a request and its last."""
    _head_bytes: int | None = None
    _body_bytes = 0
    """Of the last body, in the data that is being received."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the head of a first request from now on."""
        super().connection_made(cast(asyncio.Transport, _JoinedWrites(transport, self)))
        self.waits_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Take the next bytes, and close on a head that is longer than the limit."""
        if self.transport.is_closing():
            return
        self._body_bytes = 0
        super().data_received(data)
        if self._head_bytes is not None:
            # Before the head the data may hold whole requests: they end with a blank line, or with the body after it. Where that
            # body has blank lines or chunks this counts too little, so one read of the socket may come on top of the limit.
            self._head_bytes += max(0, len(data.rpartition(_BLANK_LINE)[2]) - self._body_bytes)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large", _TOO_LONG)

    def on_message_begin(self) -> None:
        """A request begins: count the bytes of its head."""
        super().on_message_begin()
        self.is_receiving = True
        self.waits_since = self.loop.time()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """The head is complete: its bytes no longer count."""
        self._head_bytes, self._body_bytes = None, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the body."""
        super().on_body(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """The request is complete: nothing is awaited from the client."""
        super().on_message_complete()
        self.is_receiving = False
        self.waits_since = None

    def pause_writing(self) -> None:
        """Wait for the client to read, from now on."""
        super().pause_writing()
        self.waits_since = self.loop.time()

    def resume_writing(self) -> None:
        """The client reads again: nothing is awaited from it."""
        super().resume_writing()
        self.waits_since = None

    def close_if_waiting(self, *, longer_than: float, now: float) -> None:
        """Give up on the client if it took longer than this, in seconds."""
        if self.waits_since is None or now - self.waits_since <= longer_than or self.transport.is_closing():
            return
        if self.flow.write_paused:
            self.transport.abort()
        elif self._head_bytes is None and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()  # it never began a request
        else:
            self._refuse(b"408 Request Timeout", _TIMED_OUT)

    def _refuse(self, status: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()
