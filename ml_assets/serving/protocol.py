"""uvicorn's HTTP with an end to waiting for slow clients, a limit on their headers, and one system call for an answer."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 64 * 1024
_TIMED_OUT = b'{"detail":[{"path":"","message":"the request took too long to arrive"}]}'
_TOO_LONG = b'{"detail":[{"path":"","message":"the headers are too long"}]}'


class _Joined:
    """A transport that sends the head of an answer together with its body: half the system calls of an answer."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if not self._head and data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n") and data[9:12] != b"100":
            self._head = data
            return
        self._transport.write(self._head + data)
        self._head = b""

    def close(self) -> None:
        if self._head:
            self.write(b"")
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class PatientProtocol(HttpToolsProtocol):
    """Knows since when it waits for its client: for a request to be whole, or for an answer to be taken."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waits_since: float | None = None
        self._head_bytes: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, _Joined(transport)))
        self.waits_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._end(b"431 Request Header Fields Too Large", _TOO_LONG)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.waits_since = self.loop.time()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.waits_since = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self.waits_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.waits_since = None

    def close_if_waiting(self, *, longer_than: float, now: float) -> None:
        """Give the client up if it kept us waiting for so long."""
        if self.waits_since is None or now - self.waits_since <= longer_than or self.transport.is_closing():
            return
        if self.flow.write_paused:
            self.transport.abort()
        elif self._head_bytes is None and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()  # it never began to ask
        else:
            self._end(b"408 Request Timeout", _TIMED_OUT)

    def _end(self, status: bytes, body: bytes) -> None:
        if not self.transport.is_closing():
            head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(head % (status, len(body)) + body)
            self.transport.close()
