"""A real S3 API over HTTP: moto's server in a process of its own, behind a proxy that counts requests and can spoil them."""

import http.client
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.command_line import free_port

SECONDS_TO_START = 60
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
CUT, HALF = 0, 1
"""Instead of a status: the connection is closed without an answer; half of what was sent is stored, and the same."""
Fault = Callable[[str, str], int | None]
"""The status that a request (method, path) gets instead of S3's answer; None where it goes through."""


@dataclass
class S3:
    """`url` is what clients ask; `requests` the methods and paths that were asked for, in order."""

    moto: int
    address: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    requests: list[tuple[str, str]] = field(default_factory=list)
    fault: Fault | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        return {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": self.url, "AWS_ENDPOINT_URL": ""}

    def counts(self) -> dict[str, int]:
        """Requests by what they do: PUT, GET, HEAD, LIST, DELETE."""
        kinds = Counter("LIST" if "list-type" in parse_qs(urlsplit(path).query) else method for method, path in self.requests)
        return dict(sorted(kinds.items()))

    def make_bucket(self, name: str) -> None:
        self.direct("PUT", f"/{name}")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Pass on what is asked at the URL."""
        proxy = ThreadingHTTPServer((self.address, self.port), _handler(self))
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            proxy.shutdown()
            proxy.server_close()
            thread.join()

    def direct(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Ask moto itself: neither counted nor spoiled."""
        headers = {
            "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20261130/us-east-1/s3/aws4_request",
            "Content-Type": "application/octet-stream",  # urllib's own is a form's, which moto reads away
        }
        request = urllib.request.Request(f"http://127.0.0.1:{self.moto}{path}", data=body, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            content: bytes = answer.read()
        return content


@contextmanager
def object_store(address: str = "127.0.0.1") -> Iterator[S3]:
    """Moto's server and the proxy before it, which listens at the address, until the block ends."""
    port = free_port()
    program = Path(sys.prefix) / "bin" / "moto_server"
    server = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}
    )
    try:
        _wait(f"http://127.0.0.1:{port}/moto-api/data.json", server)
        store = S3(port, address)
        with store.listening():
            yield store
    finally:
        server.terminate()
        server.wait(timeout=20)


def _handler(store: S3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            store.requests.append((self.command, self.path))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if store.fault is not None and (status := store.fault(self.command, self.path)) is not None:
                if status == HALF:
                    store.direct(self.command, self.path, body[: len(body) // 2])
                self._spoil(status)
                return
            upstream = http.client.HTTPConnection("127.0.0.1", store.moto, timeout=60)
            upstream.request(self.command, self.path, body, dict(self.headers.items()))
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(content)

        def _spoil(self, status: int) -> None:
            if status in (CUT, HALF):
                self.close_connection = True
                return
            code = {503: "SlowDown", 403: "AccessDenied"}.get(status, "InternalError")
            content = f"<Error><Code>{code}</Code><Message>spoiled by a test</Message></Error>".encode()
            self.send_response_only(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def __getattr__(self, name: str) -> Any:
            """Every method is passed on."""
            if name.startswith("do_"):
                return self._forward
            raise AttributeError(name)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    return Handler


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, "moto's server ended"
            assert time.monotonic() < deadline, "moto's server does not answer"
            time.sleep(0.1)
        else:
            return
