"""GitHub's and GitLab's APIs on loopback: they keep what is posted in memory, page, refuse and fail as the real ones do."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

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


@dataclass
class GitHubStandIn(StandIn):
    """The repository o/r."""

    pulls: list[dict[str, Any]] = field(default_factory=list)
    reviews: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)

    def add_pull(self, number: int, sha: str, *, author: str = "eve", base: str = "main") -> None:
        self.pulls.append({"number": number, "user": {"login": author}, "head": {"sha": sha}, "base": {"ref": base}})

    def add_review(self, number: int, user: str, state: str, sha: str) -> None:
        self.reviews.setdefault(number, []).append({"user": {"login": user}, "state": state, "commit_id": sha})

    def is_known(self, headers: dict[str, str]) -> bool:
        return headers.get("Authorization") == f"Bearer {TOKEN}"

    def next_page(self, path: str, query: dict[str, str], page: int) -> dict[str, str]:
        more = "&".join(f"{name}={value}" for name, value in query.items() if name != "page")
        return {"Link": f'<{self.address}{path}?{more}&page={page}>; rel="next", <{self.address}{path}>; rel="last"'}

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if (method, path) == ("POST", "/graphql"):
            return 200, {"data": {"viewer": {"login": self.known_as}}}
        match method, *path.removeprefix("/repos/o/r").split("/")[1:]:
            case ["GET"] if path == "/repos/o/r":
                return 200, {"default_branch": "main"}
            case ["GET", "pulls"]:
                return 200, [p for p in self.pulls if p["base"]["ref"] == query["base"]]
            case ["GET", "pulls", number, "reviews"]:
                return 200, self.reviews.get(int(number), [])
            case ["GET", "actions", "workflows", "ci.yml" | "ml-assets.yml", "runs"]:
                assert (query["event"], query["status"]) == ("pull_request", "completed")
                return 200, {"workflow_runs": [run for run in self.runs if run["head_sha"] == query["head_sha"]]}
            case ["GET", "contents", *name]:
                assert query["ref"] == "main"
                return self.owners_file("/".join(name))
            case ["GET", "issues", number, "comments"]:
                return 200, self.comments.get(int(number), [])
            case ["POST", "issues", number, "comments"]:
                return (201, self.add_comment(int(number), self.known_as, body["body"])) if body["body"] else _invalid("body")
            case ["PATCH", "issues", "comments", identity]:
                return self._edit(int(identity), body["body"])
            case ["POST", "statuses", sha]:
                return self._status(sha, body)
        return 404, {"message": "Not Found"}

    def _edit(self, identity: int, body: str) -> Answer:
        [comment] = [c for every in self.comments.values() for c in every if c["id"] == identity]
        if comment["user"]["login"] != self.known_as:
            return 403, {"message": "Resource not accessible by integration"}
        if len(body) > 65_536:
            return _invalid("body is too long")
        comment["body"] = body
        return 200, comment

    def _status(self, sha: str, body: dict[str, str]) -> Answer:
        if body["state"] not in ("success", "failure", "pending", "error"):
            return _invalid("state")
        if len(body["description"]) > 140 or any(ord(c) > 0xFFFF for c in body["description"]):
            return _invalid("description")
        self.statuses.setdefault(sha, []).insert(0, body)
        return 201, body


@dataclass
class GitLabStandIn(StandIn):
    """Project 9, on a GitLab whose object store has another address."""

    merge_requests: list[dict[str, Any]] = field(default_factory=list)
    approvals: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    versions: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    jobs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    store: str = ""

    def add_request(self, number: int, sha: str, *, author: str = "eve", pushed: str = "2026-01-01T10:00:00.000Z") -> None:
        pipeline = {"id": 100 + number, "project_id": 9, "sha": sha, "status": "success"}
        request = {"iid": number, "sha": sha, "author": {"username": author}, "target_branch": "main", "head_pipeline": pipeline}
        self.merge_requests.append(request)
        self.versions.setdefault(number, []).insert(0, {"head_commit_sha": sha, "created_at": pushed})

    def approve(self, number: int, user: str, at: str | None) -> None:
        given = {"user": {"username": user}} | ({"approved_at": at} if at else {})
        self.approvals.setdefault(number, []).append(given)

    def is_known(self, headers: dict[str, str]) -> bool:
        return headers.get("PRIVATE-TOKEN") == TOKEN

    def next_page(self, path: str, query: dict[str, str], page: int) -> dict[str, str]:
        return {"X-Next-Page": str(page)}

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        match method, *path.removeprefix("/api/v4/projects/9").split("/")[1:]:
            case ["GET", "api", "v4", "user"]:
                return 200, {"id": len(self.known_as), "username": self.known_as}
            case ["GET"] if path == "/api/v4/projects/9":
                return 200, {"default_branch": "main"}
            case ["GET", "merge_requests"]:
                return 200, [m for m in self.merge_requests if m["target_branch"] == query["target_branch"]]
            case ["GET", "merge_requests", number]:
                return 200, next(m for m in self.merge_requests if m["iid"] == int(number))
            case ["GET", "merge_requests", number, "notes"]:
                return 200, self.comments.get(int(number), [])
            case ["POST", "merge_requests", number, "notes"]:
                return 201, self.add_comment(int(number), self.known_as, body["body"])
            case ["PUT", "merge_requests", number, "notes", identity]:
                [note] = [n for n in self.comments[int(number)] if n["id"] == int(identity)]
                return (
                    (403, {"message": "403 Forbidden"}) if note["author"]["username"] != self.known_as else _changed(note, body)
                )
            case ["GET", "merge_requests", number, "versions"]:
                return 200, self.versions[int(number)]
            case ["GET", "merge_requests", number, "approvals"]:
                return 200, {"approved_by": self.approvals.get(int(number), [])}
            case ["GET", "repository", "files", name]:
                return self.owners_file(unquote(name))
            case ["GET", "repository", "commits", sha, "statuses"]:
                return 200, self.statuses.get(sha, [])
            case ["POST", "statuses", sha]:
                return self._status(sha, body)
            case ["GET", "pipelines", number, "jobs"]:
                return 200, self.jobs.get(int(number), [])
            case ["GET", "jobs", number, "artifacts"]:
                return 302, f"{self.store}/{number}"
        return 404, {"message": "404 Not Found"}

    def _status(self, sha: str, body: dict[str, str]) -> Answer:
        if body["state"] not in ("success", "failed", "pending", "running", "canceled"):
            return 400, {"error": "state does not have a valid value"}
        now = next((s["status"] for s in self.statuses.get(sha, [])), None)
        if now == body["state"] == "pending":
            return 400, {"message": "Cannot transition status via :enqueue from :pending"}
        self.statuses.setdefault(sha, []).insert(0, {**body, "status": body["state"]})
        return 201, body


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
            status, found = forge.answer(self.command, url.path, query, json.loads(content) if content else None)
            if status == 302:
                return self._send(302, b"", {"Location": found})
            if self.command == "GET" and isinstance(found, list):
                return self._page(url.path, query, found)
            return self._send(status, found, {})

        def _page(self, path: str, query: dict[str, str], found: list[Any]) -> None:
            page, size = int(query.get("page", 1)), min(int(query.get("per_page", 30)), PAGE)
            more = forge.next_page(path, query, page + 1) if len(found) > page * size else {}
            self._send(200, found[(page - 1) * size : page * size], more)

        def _send(self, status: int, found: Any, headers: dict[str, str]) -> None:
            content = found if isinstance(found, bytes) else json.dumps(found).encode()
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


def _invalid(field_name: str) -> Answer:
    return 422, {"message": "Validation Failed", "errors": [{"field": field_name, "code": "invalid"}]}


def _changed(note: dict[str, Any], body: dict[str, str]) -> Answer:
    note.update(body)
    return 200, note
