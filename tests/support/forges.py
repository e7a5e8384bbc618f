"""A forge's API on loopback: it keeps what is posted in memory, pages, refuses and fails as the real ones do."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

TOKEN = "ghs_0123456789secret"
PAGE = 100
Answer = tuple[int, Any]


@dataclass
class Fault:
    """The next `times` requests that match are answered so instead."""

    match: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = field(default_factory=lambda: {"message": "a fault"})
    times: int = 1


@dataclass
class StandIn:
    """A forge. `requested`: method and path of each request; `sent`: its headers."""

    address: str = ""
    faults: list[Fault] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    sent: list[dict[str, str]] = field(default_factory=list)
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    code_owners: dict[str, str] = field(default_factory=dict)
    known_as: str = "github-actions[bot]"

    def add_comment(self, number: int, author: str, body: str) -> dict[str, Any]:
        comments = self.comments.setdefault(number, [])
        ids = [comment["id"] for every in self.comments.values() for comment in every]
        author_key = {"user": {"login": author}, "author": {"id": len(author), "username": author}}
        comments.append({"id": max(ids, default=0) + 1, "body": body, **author_key})
        return comments[-1]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        raise NotImplementedError

    def is_known(self, headers: dict[str, str]) -> bool:
        raise NotImplementedError

    def next_page(self, path: str, query: dict[str, str], page: int) -> dict[str, str]:
        raise NotImplementedError

    def owners_file(self, name: str) -> Answer:
        text = self.code_owners.get(name)
        return (404, {"message": "Not Found"}) if text is None else (200, {"content": base64.b64encode(text.encode()).decode()})


@contextmanager
def running(forge: StandIn, token_is_needed: bool = True) -> Iterator[str]:
    """Its address, while it answers."""

    class Handler(BaseHTTPRequestHandler):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self._any
            raise AttributeError(name)

        def _any(self) -> None:
            url, headers = urlparse(self.path), dict(self.headers.items())
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            forge.requested.append(f"{self.command} {url.path}")
            forge.sent.append(headers)
            fault = next((f for f in forge.faults if f.times and re.search(f.match, forge.requested[-1])), None)
            if fault:
                fault.times -= 1
                return self._send(fault.status, fault.body, fault.headers)
            if token_is_needed and not forge.is_known(headers):
                return self._send(401, {"message": "Bad credentials"}, {})
            status, content_ = forge.answer(self.command, url.path, query, json.loads(content) if content else None)
            if status == 302:
                return self._send(302, b"", {"Location": content_})
            if self.command == "GET" and isinstance(content_, list):
                return self._page(url.path, query, content_)
            return self._send(status, content_, {})

        def _page(self, path: str, query: dict[str, str], content: list[Any]) -> None:
            page, size = int(query.get("page", 1)), min(int(query.get("per_page", 30)), PAGE)
            more = forge.next_page(path, query, page + 1) if len(content) > page * size else {}
            self._send(200, content[(page - 1) * size : page * size], more)

        def _send(self, status: int, content_: Any, headers: dict[str, str]) -> None:
            content = content_ if isinstance(content_, bytes) else json.dumps(content_).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    forge.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield forge.address
    finally:
        server.shutdown()
        server.server_close()
