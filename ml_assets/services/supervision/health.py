"""The state of all parts, at one address: JSON at /health, a small text page at /."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ml_assets.core.notices import Notice
from ml_assets.services.supervision.part import Address
from ml_assets.services.supervision.supervised import Supervised

WELL = ("works", "waiting")


def report(parts: Iterable[Supervised], notices: Iterable[Notice]) -> dict[str, Any]:
    """Whether all is well, each part, and what is wrong with the machine."""
    statuses, subjects = [part.status() for part in parts], [notice.subject for notice in notices]
    is_well = all(status["state"] in WELL for status in statuses) and not subjects
    return {"is_well": is_well, "parts": statuses, "notices": subjects}


def page(health: dict[str, Any]) -> str:
    """The report as text."""
    lines = [
        f"{part['name']:<20} {part['state']:<9} {part['url'] or '':<28} restarts: {part['restarts']}"
        + (f"  {part['last_end']}; its log: {part['log']}" if part["last_end"] else "")
        for part in health["parts"]
    ]
    return "\n".join(["all is well" if health["is_well"] else "not well", *lines, *health["notices"], ""])


@contextmanager
def health_served(address: Address, current: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Answer with the report that is current: 200 where all is well, and 503 where not."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            health = current()
            pages = {
                "/": ("text/plain; charset=utf-8", page(health)),
                "/health": ("application/json", json.dumps(health, indent=1)),
            }
            kind, text = pages.get(self.path.partition("?")[0], ("text/plain; charset=utf-8", "there are / and /health\n"))
            status = 404 if "there are" in text else 200 if health["is_well"] else 503
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: the terminal shows what happens to the parts."""

    server = ThreadingHTTPServer((address.host, address.port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
