"""uvicorn's HTTP with an end to waiting for slow clients, a limit on their headers, and answers that are sent together."""

import asyncio
from collections.abc import Callable, Sized
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 64 * 1024
LINGER_SECONDS = 2.0
"""How long a client that is still sending when it is refused may take to read why: closed at once, its system would drop that."""
_TIMED_OUT = b'{"detail":[{"path":"","message":"the request took too long to arrive"}]}'
_TOO_LONG = b'{"detail":[{"path":"","message":"the headers are too long"}]}'


class _Joined:
    """A transport that sends the head of an answer together with its body: half the system calls of an answer.

    What it sends waits for the next turn of the event loop if others are `under_way` as well: requests that were scored together
    are answered one right after the other. Sent each when it is ready, they wake a client on the same machine, or the proxy, once
    for each, which here took longer than to make the answer. Closed while its client `is_sending`, it says that no more will
    come, and lets what arrives pass for `LINGER_SECONDS`.
    """

    def __init__(self, transport: asyncio.Transport, is_sending: Callable[[], bool], under_way: Sized) -> None:
        self._transport = transport
        self._head = self._held = b""
        self._is_sending = is_sending
        self._under_way = under_way
        self.is_lingering = False

    def write(self, data: bytes) -> None:
        if self.is_lingering:
            return
        if not self._head and data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n") and data[9:12] != b"100":
            self._head = data
            return
        whole, self._head = self._head + data, b""
        if self._held:
            self._held += whole
        elif len(self._under_way) > 1:
            self._held = whole
            asyncio.get_running_loop().call_soon(self._send)
        else:
            self._transport.write(whole)

    def _send(self) -> None:
        held, self._held = self._held, b""
        if held and not self.is_closing():
            self._transport.write(held)

    def close(self) -> None:
        if self._head:
            self.write(b"")
        self._send()
        if self.is_lingering or self._transport.is_closing() or not (self._is_sending() and self._transport.can_write_eof()):
            self._transport.close()
            return
        self.is_lingering = True
        self._transport.write_eof()
        if not self._transport.is_reading():
            self._transport.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    def is_closing(self) -> bool:
        return self.is_lingering or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class PatientProtocol(HttpToolsProtocol):
    """Knows since when it waits for its client: for a request to be whole, or for an answer to be taken."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waits_since: float | None = None
        self._head_bytes: int | None = None
        self._is_asking = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._joined = _Joined(transport, lambda: self._is_asking, self.tasks)
        super().connection_made(cast(asyncio.Transport, self._joined))
        self.waits_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        if self._joined.is_lingering:
            return
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._end(b"431 Request Header Fields Too Large", _TOO_LONG)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_asking = True
        self.waits_since = self.loop.time()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_asking = False
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
