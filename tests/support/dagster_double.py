"""A stand-in for a Dagster webserver on loopback, for what a real one is hard to bring to: it answers from a script."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FIELDS = ("workspaceOrError", "sensorDryRun", "runsOrError", "launchRun", "runOrError", "logsForRun")
NOTHING = {"evaluationResult": {"error": None, "skipReason": "nothing is stale", "runRequests": []}}


def location(commit: str, *, is_dirty: bool | None = False, name: str = "ml_assets") -> dict[str, Any]:
    """A code location with the flights, which reports this commit."""
    source = json.dumps({"code": {"commit": commit, "is_dirty": is_dirty}})
    sensor = {
        "name": "flights_stale",
        "targets": [{"pipelineName": "flights_path"}],
        "metadataEntries": [{"label": "source", "jsonString": source}],
    }
    loaded = {"__typename": "RepositoryLocation", "repositories": [{"name": "__repository__", "sensors": [sensor]}]}
    return {"name": name, "loadStatus": "LOADED", "locationOrLoadError": loaded}


@contextmanager
def webserver_double(commit: str, answers: Mapping[str, Any] | None = None) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Its address, and what it was asked: the field of each query, with the request's authorization. It has one location at the
    commit where nothing is stale; `answers` are other answers by field: a number is a status, a text the whole body."""
    script = {
        "workspaceOrError": {"locationEntries": [location(commit)]},
        "runsOrError": {"results": []},
        "sensorDryRun": NOTHING,
        **(answers or {}),
    }
    queries: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["query"]
            name = next(field for field in FIELDS if field in query)
            queries.append((name, self.headers.get("Authorization", "")))
            answer = script[name]
            content = answer if isinstance(answer, str) else json.dumps({"data": {name: answer}})
            self.send_response(answer if isinstance(answer, int) else 200)
            self.send_header("Content-Type", "text/plain" if isinstance(answer, int) else "application/json")
            self.send_header("Location", "http://elsewhere.invalid/")
            self.send_header("Content-Length", str(len(content.encode())))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", queries
    finally:
        server.shutdown()
        server.server_close()
